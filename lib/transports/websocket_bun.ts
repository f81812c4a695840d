/**
 * WebSocket servers in Bun, and dialling with a certificate authority.
 *
 * @module headrace/websocket-bun
 */
import type { Connection, Listener } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { BunSocket, type BunSocketData, type BunWebSocket } from "./bun_socket.ts";
import { ConnectionQueue } from "./connection_queue.ts";
import { LinkConnection } from "./link_connection.ts";
import { MESSAGE_WINDOW_BYTES, MessageLink } from "./message_link.ts";
import { MOST_MESSAGE_BYTES, SUBPROTOCOL } from "./message_socket.ts";
import { tcpError } from "./tcp_errors.ts";
import { DEFAULT_MAX_PENDING_CONNECTIONS, requireCertificate } from "./tcp_options.ts";
import { isUpgrade, type Refusal, upgradeRefusal } from "./upgrade_rules.ts";
import type { WebSocketLike } from "./w3c_socket.ts";
import { connect as dial } from "./websocket.ts";
import type { TrustingConnectOptions, WebSocketListenOptions } from "./websocket_options.ts";
import { formatWebSocketUrl, parseWebSocketUrl } from "./websocket_url.ts";

export {
  acceptWebSocket,
  type OriginRules,
  type RequestOrigin,
  type WebSocketConnectOptions,
  type WebSocketConstructor,
  type WebSocketLike,
  type WebSocketListenOptions,
  whyRefused,
} from "./websocket.ts";
export type { TrustingConnectOptions } from "./websocket_options.ts";

/** Bun's own, with what browsers' lack. */
type BunWebSocketClient = new (
  url: string,
  options: { protocols: string | string[]; tls: { ca: string } },
) => WebSocketLike;

/** How long a plain answer may rest: longer than any stall that peers put up with. */
const IDLE_TIMEOUT_SECONDS = 240;

/** Of a server of Bun's, what is used here. */
interface BunServer {
  readonly port: number;
  upgrade(request: Request, options: { data: BunSocketData; headers: HeadersInit }): boolean;
  requestIP(request: Request): { readonly address: string; readonly port: number } | null;
  stop(closeActive?: boolean): void;
}

/** Of the `Bun` global, what is used here. */
interface BunServing {
  serve(options: {
    hostname: string;
    port: number;
    readonly idleTimeout: number;
    tls?: { cert?: string | undefined; key?: string | undefined };
    fetch(request: Request, server: BunServer): Response | Promise<Response> | undefined;
    websocket: {
      readonly maxPayloadLength: number;
      readonly backpressureLimit: number;
      readonly idleTimeout: number;
      readonly perMessageDeflate: boolean;
      open(socket: BunWebSocket): void;
      message(socket: BunWebSocket, data: Uint8Array | string): void;
      drain(socket: BunWebSocket): void;
      close(socket: BunWebSocket, code: number, reason: string): void;
    };
  }): BunServer;
}

const { Bun } = globalThis as unknown as { Bun: BunServing };

/**
 * Dials `ws://HOST:PORT` or `wss://HOST:PORT` in Bun, any path allowed.
 *
 * @throws {TypeError} when the URL is not such an address.
 * @throws {TransportError} when there is no connection. When `signal` is aborted, what is thrown is
 * `signal.reason`.
 *
 * @example
 * ```ts
 * import { connect, listen } from "headrace/websocket-bun";
 *
 * const listener = await listen("ws://127.0.0.1:0");
 * const dialled = await connect(listener.url);
 * const { value: accepted } = await listener.connections.getReader().read();
 * dialled.close();
 * accepted?.close();
 * await listener.close();
 * ```
 */
export async function connect(
  url: string | URL,
  options: TrustingConnectOptions = {},
): Promise<Connection> {
  const { ca } = options;
  if (ca === undefined || options.WebSocket) return dial(url, options);
  const { WebSocket: Own } = globalThis as unknown as { WebSocket: BunWebSocketClient };
  const tls = { ca };
  class Trusting extends Own {
    constructor(href: string, protocols: string | string[]) {
      super(href, { protocols, tls });
    }
  }
  return dial(url, { ...options, WebSocket: Trusting });
}

/**
 * Listens on `ws://HOST:PORT` or `wss://HOST:PORT` in Bun; port 0 picks one, `url` tells which. On
 * `http://` and `https://` it is the same, for a server that answers plain requests by `fetch`.
 *
 * @throws {TypeError} when the URL is not such an address, or `wss://` lacks `cert` and `key`.
 * @throws {TransportError} when the port is in use or the address is not this machine's.
 */
export async function listen(
  url: string | URL,
  options: WebSocketListenOptions = {},
): Promise<Listener> {
  const address = parseWebSocketUrl(url);
  const { cert, key, signal, onError, fetch } = options;
  if (address.secure) requireCertificate(String(url), options);
  signal?.throwIfAborted();
  const { maxPendingConnections = DEFAULT_MAX_PENDING_CONNECTIONS } = options;
  const queue = new ConnectionQueue(maxPendingConnections, () => close());
  let bound = address;
  const refuse = ({ status, why }: Refusal) => {
    const error = new TransportError(`A connection was refused: ${why}`);
    onError?.(tcpError(`Accepting a connection on ${formatWebSocketUrl(bound)}`, error));
    return new Response(`${why}\n`, { status });
  };
  const answer = (
    request: Request,
    server: BunServer,
  ): Response | Promise<Response> | undefined => {
    if (fetch && !isUpgrade(request)) return fetch(request);
    const refusal = upgradeRefusal((name) => request.headers.get(name), options, queue.hasRoom);
    if (refusal) return refuse(refusal);
    const { address: host, port } = server.requestIP(request) ?? { address: "unknown", port: 0 };
    const remote = formatWebSocketUrl({ ...address, host, port });
    const protocol = { "Sec-WebSocket-Protocol": SUBPROTOCOL };
    if (server.upgrade(request, { data: { remote }, headers: protocol })) return undefined;
    return refuse({ status: 400, why: "this is not how a WebSocket begins" });
  };
  let server: BunServer;
  try {
    server = Bun.serve({
      hostname: address.host,
      port: address.port,
      ...(address.secure && { tls: { cert, key } }),
      fetch: answer,
      // A body may rest while its leaves are hashed or its reader is paused; Bun's own limit is 10 s.
      idleTimeout: IDLE_TIMEOUT_SECONDS,
      websocket: {
        maxPayloadLength: MOST_MESSAGE_BYTES,
        // What a peer's window lets under way must never be dropped.
        backpressureLimit: 2 * MESSAGE_WINDOW_BYTES,
        idleTimeout: 0,
        perMessageDeflate: false,
        open: (socket) => {
          const own = new BunSocket(socket);
          socket.data.socket = own;
          queue.add(new LinkConnection(new MessageLink(own)));
        },
        message: ({ data }, message) => data.socket?.message(message),
        drain: ({ data }) => data.socket?.drained(),
        close: ({ data }, code, reason) => data.socket?.closed(code, reason),
      },
    });
  } catch (error) {
    throw tcpError(`Listening on ${formatWebSocketUrl(address)}`, error);
  }
  bound = { ...address, port: server.port };
  const onAbort = () => void close();
  async function close(): Promise<void> {
    signal?.removeEventListener("abort", onAbort);
    queue.close();
    server.stop();
  }
  signal?.addEventListener("abort", onAbort, { once: true });
  return { url: formatWebSocketUrl(bound), connections: queue.connections, close };
}
