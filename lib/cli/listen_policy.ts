import { UsageError } from "./describe_error.ts";

/** Where `headrace serve` listens unless told otherwise. */
export const DEFAULT_LISTEN_URL = "tcp://127.0.0.1:12094";

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
  const match = /^(tcp|tls):\/\/(\[[^\]]+\]|[^:/]*)/i.exec(url);
  if (!match)
    throw new UsageError(`Cannot listen on ${url}: write tcp://HOST:PORT or tls://HOST:PORT`);
  const [, scheme = "", host = ""] = match;
  if (insecure || isLoopback(host)) return;
  if (!hasToken) {
    throw new UsageError(
      `Listening on ${url} lets anybody on the network in: add --token-file FILE, or --insecure if that is meant`,
    );
  }
  if (scheme.toLowerCase() !== "tls") {
    throw new UsageError(
      `Listening on ${url} would send the token readable by all: use tls:// with --cert and --key, or --insecure if that is meant`,
    );
  }
}

function isLoopback(host: string): boolean {
  return /^(127(\.\d{1,3}){3}|localhost|\[::1\])$/i.test(host);
}
