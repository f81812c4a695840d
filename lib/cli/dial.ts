import { readFile } from "node:fs/promises";
import { deflate } from "../codec/deflate.ts";
import type { Settings } from "../config/settings.ts";
import { ConfigError } from "../errors.ts";
import { TensorPeer } from "../session/peer.ts";
import type { TensorPeerOptions } from "../session/peer_options.ts";
import { connectorOf } from "./runtime.ts";
import { readToken } from "./token.ts";

/** The arguments of verbs that dial. */
export interface DialArgs {
  readonly "token-file"?: string | undefined;
  readonly ca?: string | undefined;
  readonly pin?: string | undefined;
}

/** A peer that dials `url` when it has something to do, and again after a cut. */
export async function dialPeer(
  url: string,
  args: DialArgs,
  settings: Settings,
): Promise<TensorPeer> {
  const token = await readToken(args["token-file"]);
  const ca = args.ca === undefined ? undefined : await readPem(args.ca);
  const tls = {
    ...(ca !== undefined && { ca }),
    ...(args.pin !== undefined && { pinSha256: args.pin }),
  };
  return new TensorPeer(await connectorOf(url, tls), {
    ...peerOptions(settings),
    ...(token !== undefined && { token }),
  });
}

/** The settings as a peer takes them. */
export function peerOptions(settings: Settings): TensorPeerOptions {
  return {
    node: settings.nodeName,
    streaming: settings.useStreamingProtocol,
    role: settings.nodeRole,
    chunkBytes: settings.chunkBytes,
    codecs: settings.compressionEnabled ? [deflate] : [],
    compressionThresholdBytes: settings.compressionThresholdBytes,
    retry: {
      maxRetries: settings.maxRetries,
      baseDelayMs: settings.retryBaseDelayMs,
      maxDelayMs: settings.retryMaxDelayMs,
      backoffFactor: settings.retryBackoffFactor,
      jitterFactor: settings.retryJitterFactor,
    },
  };
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
