import { dirname, resolve } from "node:path";
import type { SettingOrigin } from "../config/resolve_settings.ts";
import { ConfigError } from "../errors.ts";
import { UsageError } from "./describe_error.ts";

/** Where `headrace serve` listens unless told otherwise. */
export const DEFAULT_LISTEN_URL = "tcp://127.0.0.1:12094";

/**
 * A node that takes no part in its cluster serves nobody.
 *
 * @throws {ConfigError} saying who said so.
 */
export function checkEnabled({ value, origin }: SettingOrigin): void {
  if (value) return;
  throw new ConfigError(
    `This node does not serve: enabled is false (${origin}); to serve it must be true`,
  );
}

/** How a server is protected. */
export interface Protection {
  readonly hasToken: boolean;
  readonly insecure: boolean;
}

/**
 * Off loopback a token is needed, and a token off loopback needs TLS, unless told otherwise.
 *
 * @throws {UsageError} saying what to add.
 */
export function checkListening(url: string, { hasToken, insecure }: Protection): void {
  const match = /^(tcp|tls|wss?|https?):\/\/(\[[^\]]+\]|[^:/]*)/i.exec(url);
  const plain = url.replace(/^[a-z]+/i, "http");
  if (!match || !URL.canParse(plain))
    throw new UsageError(
      `Cannot listen on ${url}: write tcp://HOST:PORT, or the same with tls, ws, wss, http or https`,
    );
  const [, scheme = "", host = ""] = match;
  const { pathname, search, hash } = new URL(plain);
  if (pathname !== "/" || search || hash) {
    throw new UsageError(`Cannot listen on ${url}: nothing may stand behind the port`);
  }
  if (insecure || isLoopback(host)) return;
  if (!hasToken) {
    throw new UsageError(
      `Listening on ${url} lets anybody on the network in: add --token-file FILE, or --insecure if that is meant`,
    );
  }
  if (!/^(tls|wss|https)$/i.test(scheme)) {
    throw new UsageError(
      `Listening on ${url} would send the token readable by all: use tls://, wss:// or https:// with --cert and --key, or --insecure if that is meant`,
    );
  }
}

/**
 * A secret in a folder that is served could go out with the folder's side files.
 *
 * @throws {UsageError} naming the secret's file.
 */
export function checkSecrets(
  secrets: readonly (string | undefined)[],
  served: readonly string[],
): void {
  const folders = new Set(served.map((path) => resolve(path)));
  for (const secret of secrets) {
    if (secret === undefined || !folders.has(dirname(resolve(secret)))) continue;
    throw new UsageError(`${secret} lies in a folder that is served to others; keep it elsewhere`);
  }
}

/** Whether only this machine can reach the host. */
export function isLoopback(host: string): boolean {
  return /^(127(\.\d{1,3}){3}|localhost|\[::1\])$/i.test(host);
}
