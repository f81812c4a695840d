/**
 * WebSocket servers in Deno, and dialling with a certificate authority.
 *
 * @module headrace/websocket-deno
 */
import type { Connection, Listener } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { ConnectionQueue } from "./connection_queue.ts";
import { SUBPROTOCOL } from "./message_socket.ts";
import { tcpError } from "./tcp_errors.ts";
import { DEFAULT_MAX_PENDING_CONNECTIONS, requireCertificate } from "./tcp_options.ts";
import { isUpgrade, type Refusal, upgradeRefusal } from "./upgrade_rules.ts";
import type { WebSocketLike } from "./w3c_socket.ts";
import { connect as dial } from "./websocket.ts";
import { acceptWebSocket } from "./websocket_connect.ts";
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

/** Of a server of Deno's, what is used here. */
interface DenoServer {
  readonly addr: { readonly port: number };
  shutdown(): Promise<void>;
}

/** Deno's own, with what browsers' lack. */
type DenoWebSocket = new (
  url: string,
  options: { protocols: string[]; client: unknown },
) => WebSocketLike;

/** Of a request's connection, what is used here. */
interface DenoServeInfo {
  readonly remoteAddr: { readonly hostname: string; readonly port: number };
}

/** Of the `Deno` global, what is used here. */
interface DenoServing {
  createHttpClient(options: { caCerts: string[] }): { close(): void };
  serve(
    options: { hostname: string; port: number; cert?: string; key?: string; onListen(): void },
    handler: (request: Request, info: DenoServeInfo) => Response | Promise<Response>,
  ): DenoServer;
  upgradeWebSocket(
    request: Request,
    options: { protocol: string; idleTimeout: number },
  ): { readonly socket: WebSocketLike; readonly response: Response };
}

const { Deno } = globalThis as unknown as { Deno: DenoServing };

/**
 * Dials `ws://HOST:PORT` or `wss://HOST:PORT` in Deno, any path allowed.
 *
 * @throws {TypeError} when the URL is not such an address.
 * @throws {TransportError} when there is no connection. When `signal` is aborted, what is thrown is
 * `signal.reason`.
 *
 * @example
 * ```ts
 * import { connect, listen } from "headrace/websocket-deno";
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
  const client = Deno.createHttpClient({ caCerts: [ca] });
  const { WebSocket: Own } = globalThis as unknown as { WebSocket: DenoWebSocket };
  class Trusting extends Own {
    constructor(href: string, protocols: string | string[]) {
      super(href, { protocols: [protocols].flat(), client });
    }
  }
  try {
    const connection = await dial(url, { ...options, WebSocket: Trusting });
    const over = () => client.close();
    connection.closed.then(over, over);
    return connection;
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * Listens on `ws://HOST:PORT` or `wss://HOST:PORT` in Deno; port 0 picks one, `url` tells which. On
 * `http://` and `https://` it is the same, for a server that answers plain requests by `fetch`. Once
 * closed it refuses whoever comes, and gives the port back when its last connection has ended.
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
  let open = 0;
  let isClosed = false;
  const report = (error: unknown) =>
    onError?.(tcpError(`Accepting a connection on ${formatWebSocketUrl(bound)}`, error));
  const refuse = ({ status, why }: Refusal) => {
    report(new TransportError(`A connection was refused: ${why}`));
    return new Response(`${why}\n`, { status });
  };
  const answer = (
    request: Request,
    { remoteAddr }: DenoServeInfo,
  ): Response | Promise<Response> => {
    // Whoever still has a connection may ask for more over it.
    if (isClosed) return new Response(null, { status: 503, headers: { connection: "close" } });
    if (fetch && !isUpgrade(request)) return fetch(request);
    const refusal = upgradeRefusal((name) => request.headers.get(name), options, queue.hasRoom);
    if (refusal) return refuse(refusal);
    const { hostname: host, port } = remoteAddr;
    const remote = formatWebSocketUrl({ ...address, host, port });
    const upgrade = { protocol: SUBPROTOCOL, idleTimeout: 0 };
    let upgraded: ReturnType<DenoServing["upgradeWebSocket"]>;
    try {
      upgraded = Deno.upgradeWebSocket(request, upgrade);
    } catch {
      return refuse({ status: 400, why: "this is not how a WebSocket begins" });
    }
    const { socket, response } = upgraded;
    open++;
    const over = () => {
      open--;
      endWhenIdle();
    };
    acceptWebSocket(socket, remote).then((connection: Connection) => {
      connection.closed.then(over, over);
      queue.add(connection);
    }, over);
    return response;
  };
  const secret = { ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
  const { host: hostname, port } = address;
  let server: DenoServer;
  try {
    server = Deno.serve({ hostname, port, ...secret, onListen: () => {} }, answer);
  } catch (error) {
    throw tcpError(`Listening on ${formatWebSocketUrl(address)}`, error);
  }
  bound = { ...address, port: server.addr.port };
  // Shutting down ends the connections that were taken, so it waits for the last of them.
  function endWhenIdle(): void {
    if (isClosed && open === 0) void server.shutdown();
  }
  async function close(): Promise<void> {
    if (isClosed) return;
    isClosed = true;
    signal?.removeEventListener("abort", onAbort);
    queue.close();
    endWhenIdle();
  }
  const onAbort = () => void close();
  signal?.addEventListener("abort", onAbort, { once: true });
  return { url: formatWebSocketUrl(bound), connections: queue.connections, close };
}
