// This module runs in every runtime.
/**
 * Connections over WebSockets in the shape that browsers gave them, the runtime's own or another.
 * What also listens is in the subpaths of the runtimes.
 *
 * @module headrace/websocket
 */
import type { Connection } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { connectWebSocket } from "./websocket_connect.ts";
import type { WebSocketConnectOptions, WebSocketConstructor } from "./websocket_options.ts";

export { type OriginRules, type RequestOrigin, whyRefused } from "../origin_rules.ts";
export type { WebSocketLike } from "./w3c_socket.ts";
export { acceptWebSocket } from "./websocket_connect.ts";
export type {
  WebSocketConnectOptions,
  WebSocketConstructor,
  WebSocketListenOptions,
} from "./websocket_options.ts";

/**
 * Dials `ws://HOST:PORT` or `wss://HOST:PORT`, any path allowed.
 *
 * @throws {TypeError} when the URL is not such an address.
 * @throws {TransportError} when there is no connection. When `signal` is aborted, what is thrown is
 * `signal.reason`.
 *
 * @example
 * ```ts
 * import { TensorPeer } from "headrace";
 * import { connect } from "headrace/websocket";
 *
 * const peer = new TensorPeer((signal) => connect("ws://127.0.0.1:12095", { signal }));
 * await peer.close(); // nothing was asked for, so nothing was dialled
 * ```
 */
export async function connect(
  url: string | URL,
  options: WebSocketConnectOptions = {},
): Promise<Connection> {
  const { WebSocket: own } = globalThis as { WebSocket?: WebSocketConstructor };
  const Implementation = options.WebSocket ?? own;
  if (Implementation) return connectWebSocket(url, options, Implementation);
  throw new TransportError("This runtime has no WebSocket: give one as options.WebSocket", {
    retryable: false,
  });
}
