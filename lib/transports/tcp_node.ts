/**
 * TCP and TLS in Node: what dials a peer, and what listens for peers.
 *
 * @module headrace/tcp
 */
import type { Connection, Listener } from "../connection.ts";
import { connectNode } from "./node_connect.ts";
import { listenNode } from "./node_listen.ts";
import type { NodeStrategy } from "./node_socket.ts";
import type { TcpConnectOptions, TcpListenOptions } from "./tcp_options.ts";

export type { TcpConnectOptions, TcpListenOptions, TcpOptions } from "./tcp_options.ts";

/**
 * Reading into one lent buffer takes half the processor time of `data` events, which allocate for
 * each read (Node 26: 0.40 s a GiB against 0.81). 64 KiB stay in the processor's cache: larger
 * reads measured slower. See `bench/tcp_reading.ts`.
 */
const STRATEGY: NodeStrategy = { onread: true, readBufferBytes: 64 * 1024, writev: true };

/**
 * Dials `tcp://HOST:PORT` or `tls://HOST:PORT` in Node.
 *
 * @throws {TypeError} when the URL is not such an address, the pin is not a SHA-256, or either it or `ca` is given for `tcp://`.
 * @throws {TransportError} when there is no connection, with the reason in one line. When `signal`
 * is aborted, what is thrown is `signal.reason`.
 *
 * @example
 * ```ts
 * import { connect, listen } from "headrace/tcp-node";
 *
 * const listener = await listen("tcp://127.0.0.1:0");
 * const dialled = await connect(listener.url);
 * const { value: accepted } = await listener.connections.getReader().read();
 *
 * const writer = dialled.writable.getWriter();
 * await writer.write(new TextEncoder().encode("hello"));
 * await writer.close();
 * console.log(await new Response(accepted?.readable).text());
 *
 * await accepted?.writable.close();
 * await dialled.readable.cancel();
 * await listener.close();
 * ```
 */
export async function connect(
  url: string | URL,
  options: TcpConnectOptions = {},
): Promise<Connection> {
  return await connectNode(url, options, STRATEGY);
}

/**
 * Listens on `tcp://HOST:PORT` or `tls://HOST:PORT` in Node; port 0 picks one, `url` tells which.
 *
 * @throws {TypeError} when the URL is not such an address, or `tls://` lacks `cert` and `key`.
 * @throws {TransportError} when the port is in use or the address is not this machine's.
 */
export async function listen(url: string | URL, options: TcpListenOptions = {}): Promise<Listener> {
  return await listenNode(url, options, STRATEGY);
}
