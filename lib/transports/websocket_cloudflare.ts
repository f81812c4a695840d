import type { Connection } from "../connection.ts";
import { TransportError } from "../errors.ts";
import type { OriginRules } from "../origin_rules.ts";
import { SUBPROTOCOL } from "./message_socket.ts";
import { upgradeRefusal } from "./upgrade_rules.ts";
import type { WebSocketLike } from "./w3c_socket.ts";
import { acceptWebSocket } from "./websocket_connect.ts";

/** What came of a request to become a WebSocket. */
export interface WorkerUpgrade {
  /** To be returned from the fetch handler, whether it was taken or refused. */
  readonly response: Response;
  /** This end, where it was taken. */
  readonly connection?: Connection;
  /** Why it was refused, otherwise. */
  readonly refusal?: TransportError;
}

/** The end of a pair that a worker keeps: open once it is accepted. */
interface WorkerWebSocket extends WebSocketLike {
  accept(): void;
}

/** Of the globals of workers, what is used here. */
interface WorkerGlobals {
  readonly WebSocketPair: new () => { readonly 0: unknown; readonly 1: WorkerWebSocket };
}

/**
 * Takes a WebSocket in a Cloudflare worker's fetch handler. Pages of origins that are not named are
 * refused, and so is a host that is not named, as by every server of headrace: `hosts` has the
 * worker's own names.
 *
 * The connection belongs to the request, or to the Durable Object that answers it.
 *
 * @throws {TypeError} outside of workers, which alone have pairs of WebSockets.
 *
 * @example
 * ```ts
 * import { MemoryStore, TensorPeer } from "headrace";
 * import { upgradeWebSocket } from "headrace/cloudflare";
 *
 * const store = new MemoryStore();
 *
 * export default {
 *   async fetch(request: Request): Promise<Response> {
 *     const rules = { hosts: ["weights.example"], origins: ["https://app.example"] };
 *     const { response, connection } = await upgradeWebSocket(request, rules);
 *     if (connection) new TensorPeer(connection, { store, accepted: true });
 *     return response;
 *   },
 * };
 * ```
 */
export async function upgradeWebSocket(
  request: Request,
  rules: OriginRules = {},
): Promise<WorkerUpgrade> {
  const { headers } = request;
  const refused = upgradeRefusal((name) => headers.get(name), rules, true);
  if (refused) {
    const { status, why } = refused;
    const refusal = new TransportError(`A connection was refused: ${why}`);
    return { response: new Response(`${why}\n`, { status }), refusal };
  }
  const { WebSocketPair } = globalThis as unknown as WorkerGlobals;
  const { 0: webSocket, 1: socket } = new WebSocketPair();
  socket.accept();
  const connection = await acceptWebSocket(socket, headers.get("cf-connecting-ip") ?? "a client");
  const switching: ResponseInit & { webSocket: unknown } = {
    status: 101,
    headers: { "sec-websocket-protocol": SUBPROTOCOL },
    webSocket,
  };
  return { response: new Response(null, switching), connection };
}
