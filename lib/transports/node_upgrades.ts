import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Connection } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { ConnectionQueue } from "./connection_queue.ts";
import { LinkConnection } from "./link_connection.ts";
import { MessageLink } from "./message_link.ts";
import { MOST_MESSAGE_BYTES, SUBPROTOCOL } from "./message_socket.ts";
import { tcpError } from "./tcp_errors.ts";
import { DEFAULT_MAX_PENDING_CONNECTIONS } from "./tcp_options.ts";
import { type Refusal, upgradeRefusal } from "./upgrade_rules.ts";
import type { WebSocketUpgradeOptions } from "./websocket_options.ts";
import { formatWebSocketUrl, type WebSocketAddress } from "./websocket_url.ts";
import { WsSocket } from "./ws_socket.ts";

/** Makes connections of the requests of a `node:http` server that are to become WebSockets. */
export class NodeUpgrades {
  readonly connections: ReadableStream<Connection>;
  readonly #options: WebSocketUpgradeOptions;
  readonly #addressNow: () => WebSocketAddress;
  readonly #queue: ConnectionQueue;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MOST_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: (protocols) => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });

  /**
   * @param addressNow Where the server listens.
   * @param onCancel Called when nobody wants any more connections.
   */
  constructor(
    options: WebSocketUpgradeOptions,
    addressNow: () => WebSocketAddress,
    onCancel: () => Promise<void>,
  ) {
    this.#options = options;
    this.#addressNow = addressNow;
    const { maxPendingConnections = DEFAULT_MAX_PENDING_CONNECTIONS } = options;
    this.#queue = new ConnectionQueue(maxPendingConnections, onCancel);
    this.connections = this.#queue.connections;
  }

  /** For the server's `upgrade` event. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => {});
    const get = (name: string) => request.headers[name]?.toString();
    const refusal = upgradeRefusal(get, this.#options, this.#queue.hasRoom);
    if (refusal) {
      this.refuse(socket, refusal);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (opened: WebSocket) => {
      const { remoteAddress = "unknown", remotePort = 0 } = request.socket;
      const peer = { ...this.#addressNow(), host: remoteAddress, port: remotePort };
      const remote = formatWebSocketUrl(peer);
      this.#queue.add(new LinkConnection(new MessageLink(new WsSocket(opened, remote))));
    });
  }

  /** Says why a request does not become a WebSocket. */
  refuse(socket: Duplex, { status, why }: Refusal): void {
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n${why}\n`,
    );
    this.report(new TransportError(`A connection was refused: ${why}`));
  }

  /** Tells of a connection that failed before it could be taken. */
  report(error: unknown): void {
    const url = formatWebSocketUrl(this.#addressNow());
    this.#options.onError?.(tcpError(`Accepting a connection on ${url}`, error));
  }

  /** Takes no more connections. */
  close(): void {
    this.#queue.close();
  }
}
