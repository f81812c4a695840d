/**
 * WebSocket servers in Node, and dialling with a certificate authority or a pinned certificate.
 *
 * @module headrace/websocket-node
 */
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Socket } from "node:net";
import type { Connection, Listener } from "../connection.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { respond, respondWithoutUpgrade } from "./node_responder.ts";
import { NodeUpgrades } from "./node_upgrades.ts";
import { tcpError } from "./tcp_errors.ts";
import { requireCertificate, type TcpConnectOptions } from "./tcp_options.ts";
import { connectWebSocket } from "./websocket_connect.ts";
import type {
  WebSocketConnectOptions,
  WebSocketConstructor,
  WebSocketListenOptions,
} from "./websocket_options.ts";
import { formatWebSocketUrl, parseWebSocketUrl, type WebSocketAddress } from "./websocket_url.ts";

export { type OriginRules, type RequestOrigin, whyRefused } from "../origin_rules.ts";
export type { WebSocketLike } from "./w3c_socket.ts";
export { attach, type HttpServerLike } from "./websocket_attach.ts";
export { acceptWebSocket } from "./websocket_connect.ts";
export type {
  WebSocketAttachOptions,
  WebSocketConnectOptions,
  WebSocketConstructor,
  WebSocketListenOptions,
} from "./websocket_options.ts";

/** How to dial in Node. */
export interface NodeWebSocketConnectOptions
  extends WebSocketConnectOptions,
    Pick<TcpConnectOptions, "ca" | "pinSha256"> {}

/**
 * Dials `ws://HOST:PORT` or `wss://HOST:PORT` in Node, by the package `ws`.
 *
 * @throws {TypeError} when the URL is not such an address or the pin is not a SHA-256.
 * @throws {TransportError} when there is no connection. When `signal` is aborted, what is thrown is
 * `signal.reason`.
 *
 * @example
 * ```ts
 * import { connect, listen } from "headrace/websocket-node";
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
  options: NodeWebSocketConnectOptions = {},
): Promise<Connection> {
  const { ca, pinSha256, WebSocket } = options;
  if (WebSocket) return connectWebSocket(url, options, WebSocket);
  if (ca === undefined && pinSha256 === undefined) {
    const { CappedWebSocket } = await import("./capped_websocket.ts");
    return connectWebSocket(url, options, CappedWebSocket as unknown as WebSocketConstructor);
  }
  const { trustingWebSocket } = await import("./trusting_websocket.ts");
  const { Implementation, refusal } = trustingWebSocket(String(url), options);
  try {
    return await connectWebSocket(url, options, Implementation);
  } catch (error) {
    throw refusal() ?? error;
  }
}

/**
 * Listens on `ws://HOST:PORT` or `wss://HOST:PORT` in Node; port 0 picks one, `url` tells which. On
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
  const { cert, key, signal } = options;
  if (address.secure) requireCertificate(String(url), options);
  signal?.throwIfAborted();
  const secret = { ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
  const server = address.secure
    ? createHttpsServer({ ...PATIENCE, ...secret })
    : createHttpServer(PATIENCE);
  const listener = new NodeWebSocketListener(server, address, options);
  await listener.listen();
  return listener;
}

/** As long as a peer may say nothing; Node would look every 30 s. */
const PATIENCE = {
  headersTimeout: DEFAULT_LIMITS.helloTimeoutMs,
  handshakeTimeout: DEFAULT_LIMITS.helloTimeoutMs,
  connectionsCheckingInterval: 1000,
} as const;

class NodeWebSocketListener implements Listener {
  readonly connections: ReadableStream<Connection>;
  readonly #server: Server;
  readonly #options: WebSocketListenOptions;
  readonly #upgrades: NodeUpgrades;
  #address: WebSocketAddress;
  readonly #onAbort: () => void = () => void this.close();

  constructor(server: Server, address: WebSocketAddress, options: WebSocketListenOptions) {
    this.#server = server;
    this.#address = address;
    this.#options = options;
    this.#upgrades = new NodeUpgrades(
      options,
      () => this.#address,
      () => this.close(),
    );
    this.connections = this.#upgrades.connections;
    server.on("request", (request, response) => {
      const { fetch } = options;
      if (fetch) {
        respond(request, response, address.secure, fetch).catch(() => response.destroy());
      } else response.writeHead(426, { Connection: "Upgrade", Upgrade: "websocket" }).end();
    });
    server.on("upgrade", (request, socket, head) => {
      const { fetch } = options;
      const isWebSocket = request.headers.upgrade?.toLowerCase() === "websocket";
      if (isWebSocket || !fetch) {
        this.#upgrades.upgrade(request, socket, head);
        return;
      }
      socket.on("error", () => {});
      const answer = respondWithoutUpgrade(request, socket as Socket, address.secure, fetch);
      answer.catch(() => socket.destroy());
    });
  }

  get url(): string {
    return formatWebSocketUrl(this.#address);
  }

  async listen(): Promise<void> {
    const { host, port } = this.#address;
    const { signal } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error) => reject(tcpError(`Listening on ${this.url}`, error));
      this.#server.once("error", onError);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", onError);
        resolve();
      });
    });
    const bound = this.#server.address();
    if (bound !== null && typeof bound === "object") {
      this.#address = { ...this.#address, port: bound.port };
    }
    this.#server.on("error", (error) => this.#upgrades.report(error));
    this.#server.on("tlsClientError", (error) => this.#upgrades.report(error));
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted) await this.close();
    signal?.throwIfAborted();
  }

  async close(): Promise<void> {
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#server.close();
    this.#server.closeIdleConnections();
    this.#upgrades.close();
  }
}
