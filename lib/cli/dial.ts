import { readFile } from "node:fs/promises";
import { peerOptions } from "../config/peer_options.ts";
import type { Settings } from "../config/settings.ts";
import { ConfigError } from "../errors.ts";
import { TensorPeer } from "../session/peer.ts";
import { connectorOf } from "./runtime.ts";
import { readToken } from "./token.ts";

/** A peer that dials `url` when it has something to do, and again after a cut. */
export async function dialPeer(url: string, settings: Settings): Promise<TensorPeer> {
  const { caFile, pinSha256, connectTimeoutMs } = settings;
  const token = await readToken(settings.tokenFile);
  const ca = caFile === undefined ? undefined : await readPem(caFile);
  const tls = {
    ...(ca !== undefined && { ca }),
    ...(pinSha256 !== undefined && { pinSha256 }),
  };
  return new TensorPeer(await connectorOf(url, { ...tls, connectTimeoutMs }), {
    ...peerOptions(settings),
    ...(token !== undefined && { token }),
  });
}

/** @throws {ConfigError} for a file that cannot be read. */
export async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`Cannot read ${path}: ${why}`, { cause });
  }
}
