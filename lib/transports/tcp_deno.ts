import { systemClock } from "../clock.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { Connection, Listener } from "../session/connection.ts";
import { DenoListener } from "./deno_listener.ts";
import { type DenoNet, DenoSocketLink, type DenoTcpConn } from "./deno_socket.ts";
import { LinkConnection } from "./link_connection.ts";
import { connectNode } from "./node_connect.ts";
import { listenNode } from "./node_listen.ts";
import { connectTimeoutError, tcpError } from "./tcp_errors.ts";
import type { TcpConnectOptions, TcpListenOptions } from "./tcp_options.ts";
import { formatTcpUrl, parseTcpUrl } from "./tcp_url.ts";

export type { TcpConnectOptions, TcpListenOptions, TcpOptions } from "./tcp_options.ts";

/** Each read is an asynchronous call, so that larger ones pay. */
const READ_BUFFER_BYTES = 256 * 1024;

/** TLS goes through Deno's `node:tls`, which shows the peer's certificate; its own API does not. */
const TLS_READ_STRATEGY = { onread: false, readBufferBytes: 64 * 1024 };

/**
 * Dials `tcp://HOST:PORT` or `tls://HOST:PORT` in Deno, natively for TCP. `keepAliveMs` turns probes
 * on at the system's own interval; a reset is a plain close, which Deno has nothing harder than.
 *
 * @throws {TypeError} when the URL is not such an address or the pin is not a SHA-256.
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
  if (address.secure) return await connectNode(url, options, TLS_READ_STRATEGY);
  const remote = formatTcpUrl(address);
  const socket = await dial(address.host, address.port, `Connecting to ${remote}`, options);
  socket.setNoDelay(options.noDelay ?? true);
  if (options.keepAliveMs !== undefined) socket.setKeepAlive(true);
  const readBufferBytes = options.readBufferBytes ?? READ_BUFFER_BYTES;
  return new LinkConnection(new DenoSocketLink(socket, remote, readBufferBytes));
}

/**
 * Listens on `tcp://HOST:PORT` or `tls://HOST:PORT` in Deno; port 0 picks one, `url` tells which.
 *
 * @throws {TypeError} when the URL is not such an address, or `tls://` lacks `cert` and `key`.
 * @throws {TransportError} when the port is in use or the address is not this machine's.
 */
export async function listen(url: string | URL, options: TcpListenOptions = {}): Promise<Listener> {
  const address = parseTcpUrl(url);
  if (address.secure) return await listenNode(url, options);
  options.signal?.throwIfAborted();
  try {
    const listener = denoNet().listen({ hostname: address.host, port: address.port });
    return new DenoListener(listener, address, { readBufferBytes: READ_BUFFER_BYTES, ...options });
  } catch (error) {
    throw tcpError(`Listening on ${formatTcpUrl(address)}`, error);
  }
}

/** Rejects at once on abort and timeout; a connection that is made all the same is closed. */
async function dial(
  hostname: string,
  port: number,
  attempt: string,
  options: TcpConnectOptions,
): Promise<DenoTcpConn> {
  const { signal, connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = options;
  signal?.throwIfAborted();
  const abort = new AbortController();
  const cancelTimer = systemClock.after(connectTimeoutMs, () =>
    abort.abort(connectTimeoutError(attempt, connectTimeoutMs)),
  );
  const onAbort = () => abort.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const socket = await denoNet().connect({ hostname, port, signal: abort.signal });
    if (abort.signal.aborted) socket.close();
    else return socket;
  } catch (error) {
    if (!abort.signal.aborted) throw tcpError(attempt, error);
  } finally {
    cancelTimer();
    signal?.removeEventListener("abort", onAbort);
  }
  throw abort.signal.reason;
}

function denoNet(): DenoNet {
  return (globalThis as unknown as { Deno: DenoNet }).Deno;
}
