/**
 * Dials peers over WebTransport, in browsers and wherever an object of its shape is at hand.
 *
 * @module headrace/webtransport
 */
// This module runs in every runtime.
import type { Connection } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { dialWithin } from "./dial_within.ts";
import type { WebTransportConstructor, WebTransportLike } from "./webtransport_like.ts";
import { connectionOf } from "./webtransport_session.ts";
import { parseWebTransportUrl } from "./webtransport_url.ts";

export type {
  CertificateHash,
  WebTransportConstructor,
  WebTransportLike,
  WebTransportStreamLike,
} from "./webtransport_like.ts";

/** How to dial. */
export interface WebTransportConnectOptions {
  /** Gives up; the promise rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** How long the session and its first stream may take; default 10,000. */
  readonly connectTimeoutMs?: number;
  /** An implementation in the W3C's shape; default: the runtime's own. */
  readonly WebTransport?: WebTransportConstructor;
}

/**
 * Connects to `https://HOST[:PORT][/PATH]` over WebTransport: control frames on one stream, data on
 * up to eight more. `#sha256=` and the 64 hexadecimal digits of a certificate's SHA-256 trust just
 * that one, as `headrace cert` prints it.
 *
 * @throws {TypeError} when the URL is not such a URL, or there is no WebTransport here and none given.
 * @throws {TransportError} when nothing answers there, or its certificate is another.
 *
 * @example
 * ```ts
 * import { TensorPeer } from "headrace";
 * import { connect } from "headrace/webtransport";
 *
 * export const dial = (url: string) => new TensorPeer((signal) => connect(url, { signal }));
 * ```
 */
export async function connect(
  url: string | URL,
  options: WebTransportConnectOptions = {},
): Promise<Connection> {
  const { href, certificateHash } = parseWebTransportUrl(url);
  const Implementation = options.WebTransport ?? ownImplementation();
  options.signal?.throwIfAborted();
  const hashes = certificateHash && { serverCertificateHashes: [certificateHash] };
  const session = new Implementation(href, hashes);
  session.closed.catch(() => {});
  return dialWithin(href, opened(session, href), options, () => close(session));
}

async function opened(session: WebTransportLike, href: string): Promise<Connection> {
  try {
    await session.ready;
    return connectionOf(session, await session.createBidirectionalStream(), href, true);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TransportError(`${href} cannot be reached: ${why}`, { cause: error });
  }
}

function close(session: WebTransportLike): void {
  // One that is not open yet may refuse to be closed, or fail for it.
  try {
    session.close();
  } catch {}
}

function ownImplementation(): WebTransportConstructor {
  const { WebTransport } = globalThis as { WebTransport?: WebTransportConstructor };
  if (WebTransport) return WebTransport;
  throw new TypeError(
    "This runtime has no WebTransport: give an implementation as the option WebTransport; Deno has one with --unstable-net",
  );
}
