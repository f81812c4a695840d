/**
 * TCP and TLS in Bun: what dials a peer, and what listens for peers.
 *
 * @module headrace/tcp-bun
 */
import type { Connection, Listener } from "../connection.ts";
import { connectNode } from "./node_connect.ts";
import { listenNode } from "./node_listen.ts";
import type { NodeStrategy } from "./node_socket.ts";
import type { TcpConnectOptions, TcpListenOptions } from "./tcp_options.ts";

export type { TcpConnectOptions, TcpListenOptions, TcpOptions } from "./tcp_options.ts";

/**
 * Bun's `node:net`, which half-closes, pauses and resets as Node's does. Its `onread` gains nothing
 * over `data` events (0.73 s of processor time a GiB against 0.77), and its `writev` copies: a header
 * and a payload written one after the other cost 0.32 s a GiB, corked 0.54. `Bun.connect` reads
 * quicker (1.11 of the floor against 0.88); see `bench/tcp_reading.ts`.
 */
const STRATEGY: NodeStrategy = { onread: false, readBufferBytes: 64 * 1024, writev: false };

/**
 * Dials `tcp://HOST:PORT` or `tls://HOST:PORT` in Bun, through its `node:net`.
 *
 * @throws {TypeError} when the URL is not such an address, the pin is not a SHA-256, or either it or `ca` is given for `tcp://`.
 * @throws {TransportError} when there is no connection, with the reason in one line. When `signal`
 * is aborted, what is thrown is `signal.reason`.
 *
 * @example
 * ```ts
 * import { listen } from "headrace/tcp-bun";
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
  return await connectNode(url, options, STRATEGY);
}

/**
 * Listens on `tcp://HOST:PORT` or `tls://HOST:PORT` in Bun; port 0 picks one, `url` tells which.
 *
 * @throws {TypeError} when the URL is not such an address, or `tls://` lacks `cert` and `key`.
 * @throws {TransportError} when the port is in use or the address is not this machine's.
 */
export async function listen(url: string | URL, options: TcpListenOptions = {}): Promise<Listener> {
  return await listenNode(url, options, STRATEGY);
}
