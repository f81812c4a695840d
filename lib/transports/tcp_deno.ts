/**
 * TCP and TLS in Deno: what dials a peer, and what listens for peers.
 *
 * @module headrace/tcp-deno
 */
import { systemClock } from "../clock.ts";
import type { Connection, Listener } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { DenoListener } from "./deno_listener.ts";
import { type DenoConn, type DenoNet, DenoSocketLink } from "./deno_socket.ts";
import { LinkConnection } from "./link_connection.ts";
import { connectTimeoutError, tcpError } from "./tcp_errors.ts";
import {
  parsePin,
  requireCertificate,
  requireTls,
  type TcpConnectOptions,
  type TcpListenOptions,
} from "./tcp_options.ts";
import { formatTcpUrl, parseTcpUrl, type TcpAddress } from "./tcp_url.ts";

export type { TcpConnectOptions, TcpListenOptions, TcpOptions } from "./tcp_options.ts";

/** Each read is an asynchronous call, so that larger ones pay; see `bench/tcp_reading.ts`. */
const READ_BUFFER_BYTES = 256 * 1024;

/**
 * Dials `tcp://HOST:PORT` or `tls://HOST:PORT` by Deno's own sockets. They differ from Node's in
 * this: `keepAliveMs` turns probes on at the system's own interval (TCP only); a reset is a plain
 * close; `ca` is trusted beside Deno's own authorities; `pinSha256` is refused, because Deno shows
 * programs no certificate, and its `node:tls` has no backpressure.
 *
 * @throws {TypeError} when the URL is not such an address, the pin is not a SHA-256, or either it or `ca` is given for `tcp://`.
 * @throws {TransportError} when there is no connection, with the reason in one line. When `signal`
 * is aborted, what is thrown is `signal.reason`.
 *
 * @example
 * ```ts
 * import { listen } from "headrace/tcp-deno";
 *
 * const listener = await listen("tcp://127.0.0.1:0");
 * console.log(listener.url);
 * await listener.close();
 * ```
 */
export async function connect(
  url: string | URL,
  options: TcpConnectOptions = {},
): Promise<Connection> {
  const address = parseTcpUrl(url);
  const remote = formatTcpUrl(address);
  requireTls(address, options);
  if (options.pinSha256 !== undefined) {
    parsePin(options.pinSha256);
    throw new TransportError(
      `Connecting to ${remote} failed: Deno shows programs no certificate, so none can be pinned. ` +
        "Give the authority that signed it (ca).",
      { retryable: false },
    );
  }
  const conn = await dial(address, `Connecting to ${remote}`, options);
  const readBufferBytes = options.readBufferBytes ?? READ_BUFFER_BYTES;
  return new LinkConnection(new DenoSocketLink(conn, remote, readBufferBytes));
}

/**
 * Listens on `tcp://HOST:PORT` or `tls://HOST:PORT` in Deno; port 0 picks one, `url` tells which.
 *
 * @throws {TypeError} when the URL is not such an address, or `tls://` lacks `cert` and `key`.
 * @throws {TransportError} when the port is in use or the address is not this machine's.
 */
export async function listen(url: string | URL, options: TcpListenOptions = {}): Promise<Listener> {
  const address = parseTcpUrl(url);
  const { secure, host: hostname, port } = address;
  const { cert = "", key = "", signal } = options;
  if (secure) requireCertificate(formatTcpUrl(address), options);
  signal?.throwIfAborted();
  try {
    const listener = secure
      ? denoNet().listenTls({ hostname, port, cert, key })
      : denoNet().listen({ hostname, port });
    return new DenoListener(listener, address, { readBufferBytes: READ_BUFFER_BYTES, ...options });
  } catch (error) {
    throw tcpError(`Listening on ${formatTcpUrl(address)}`, error);
  }
}

/** Rejects on abort and timeout; a connection that is made all the same is closed. */
async function dial(
  { secure, host: hostname, port }: TcpAddress,
  attempt: string,
  options: TcpConnectOptions,
): Promise<DenoConn> {
  const { signal, ca, connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = options;
  signal?.throwIfAborted();
  const abort = new AbortController();
  const cancelTimer = systemClock.after(connectTimeoutMs, () =>
    abort.abort(connectTimeoutError(attempt, connectTimeoutMs)),
  );
  const onAbort = () => abort.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  let conn: DenoConn | undefined;
  // Closing is what stops a handshake.
  abort.signal.addEventListener("abort", () => closeQuietly(conn));
  try {
    conn = await denoNet().connect({ hostname, port, signal: abort.signal });
    abort.signal.throwIfAborted();
    conn.setNoDelay?.(options.noDelay ?? true);
    if (options.keepAliveMs !== undefined) conn.setKeepAlive?.(true);
    if (secure) {
      const name = options.serverName ?? hostname;
      const tls = ca === undefined ? { hostname: name } : { hostname: name, caCerts: [ca] };
      conn = await denoNet().startTls(conn, tls);
      abort.signal.throwIfAborted();
      await conn.handshake?.();
      abort.signal.throwIfAborted();
    }
    return conn;
  } catch (error) {
    closeQuietly(conn);
    throw abort.signal.aborted ? abort.signal.reason : tcpError(attempt, error);
  } finally {
    cancelTimer();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** A connection that failed, or is being handed to TLS, cannot be closed (again). */
function closeQuietly(conn: DenoConn | undefined): void {
  try {
    conn?.close();
  } catch {
    // Nothing is left to close.
  }
}

function denoNet(): DenoNet {
  return (globalThis as unknown as { Deno: DenoNet }).Deno;
}
