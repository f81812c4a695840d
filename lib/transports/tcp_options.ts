// This module runs in every runtime.
import type { TransportError } from "../errors.ts";
import { formatTcpUrl, type TcpAddress } from "./tcp_url.ts";

/** What both ends of a TCP or TLS connection can choose. */
export interface TcpOptions {
  /** Sends small writes at once (`TCP_NODELAY`). Default `true`. */
  noDelay?: boolean;
  /** Quiet time in milliseconds before the kernel probes the peer. Default: it does not. */
  keepAliveMs?: number;
  /** The most that one read takes, in bytes. Default: what measured fastest in the runtime. */
  readBufferBytes?: number;
}

/** How to dial. */
export interface TcpConnectOptions extends TcpOptions {
  /** Gives up dialling; the promise rejects with `signal.reason`. It has no say afterwards. */
  signal?: AbortSignal | undefined;
  /** For name lookup, connection and TLS handshake together, in milliseconds. Default 10,000. */
  connectTimeoutMs?: number;
  /** Certificate authorities in PEM that are trusted instead of the runtime's own; in Deno beside them. */
  ca?: string;
  /**
   * The SHA-256 of the peer's certificate in hexadecimal, colons allowed. That one certificate is
   * then trusted whoever signed it and whatever name it holds, and no other. Not in Deno.
   */
  pinSha256?: string;
  /** The name that the peer's certificate must hold. Default: the URL's host. */
  serverName?: string;
}

/** How to listen. */
export interface TcpListenOptions extends TcpOptions {
  /** Closes the listener when aborted; before it listens, the promise rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /** How long a TLS handshake may take, in milliseconds. Default 10,000. */
  connectTimeoutMs?: number;
  /** The certificate chain in PEM; `tls://` needs it. */
  cert?: string;
  /** The private key in PEM; `tls://` needs it. */
  key?: string;
  /** Connections that nobody has taken yet; further ones wait in the kernel or are reset. Default 256. */
  maxPendingConnections?: number;
  /** Told of connections that failed before they could be taken; listening goes on. */
  onError?(error: TransportError): void;
}

/** Connections that may wait to be taken where nothing else is said. */
export const DEFAULT_MAX_PENDING_CONNECTIONS = 256;

/** @throws {TypeError} when a `tls://` listener is given no certificate or no key. */
export function requireCertificate(url: string, { cert, key }: TcpListenOptions): void {
  if (cert !== undefined && key !== undefined) return;
  throw new TypeError(`Listening on ${url} needs a certificate and its key: give cert and key.`);
}

/** @throws {TypeError} when a certificate is asked of a connection that has none. */
export function requireTls(address: TcpAddress, { ca, pinSha256 }: TcpConnectOptions): void {
  if (address.secure || (ca === undefined && pinSha256 === undefined)) return;
  const remote = formatTcpUrl(address);
  throw new TypeError(`${remote} has no certificate to hold to ca or pinSha256: dial tls://.`);
}

/** @throws {TypeError} when the text is not a SHA-256 in hexadecimal. */
export function parsePin(pinSha256: string): string {
  const pin = pinSha256.replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(pin)) return pin;
  throw new TypeError(`pinSha256 must be 64 hexadecimal digits, got "${pinSha256}".`);
}
