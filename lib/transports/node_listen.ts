import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Connection, Listener } from "../connection.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { LinkConnection } from "./link_connection.ts";
import { withReads } from "./node_accept.ts";
import { destroySocket, NodeReads, NodeSocketLink, type NodeStrategy } from "./node_socket.ts";
import { tcpError } from "./tcp_errors.ts";
import {
  DEFAULT_MAX_PENDING_CONNECTIONS,
  requireCertificate,
  type TcpListenOptions,
} from "./tcp_options.ts";
import { formatTcpUrl, parseTcpUrl, type TcpAddress } from "./tcp_url.ts";

/** Listens by `node:net` or `node:tls`; what the adapters of the runtimes share. */
export async function listenNode(
  url: string | URL,
  options: TcpListenOptions,
  strategy: NodeStrategy,
): Promise<Listener> {
  const address = parseTcpUrl(url);
  if (address.secure) requireCertificate(formatTcpUrl(address), options);
  options.signal?.throwIfAborted();
  const server = createServer(address, options);
  const listener = new NodeListener(server, address, options, strategy);
  await listener.listen();
  return listener;
}

function createServer({ secure }: TcpAddress, options: TcpListenOptions): Server {
  const shared = {
    allowHalfOpen: true,
    noDelay: options.noDelay ?? true,
    keepAlive: options.keepAliveMs !== undefined,
    keepAliveInitialDelay: options.keepAliveMs ?? 0,
  };
  // A paused socket could not do its handshake.
  if (!secure) return createTcpServer({ ...shared, pauseOnConnect: true });
  const { cert, key, connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = options;
  return createTlsServer({
    ...shared,
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    handshakeTimeout: connectTimeoutMs,
  });
}

/** `node:net` accepts whatever comes, so what nobody takes is bounded here. */
class NodeListener implements Listener {
  readonly connections: ReadableStream<Connection>;
  readonly #server: Server;
  readonly #options: TcpListenOptions;
  readonly #strategy: NodeStrategy;
  readonly #pending: Socket[] = [];
  #address: TcpAddress;
  #controller!: ReadableStreamDefaultController<Connection>;
  #wanted = false;
  #closed = false;
  readonly #onAbort: () => void = () => void this.close();

  constructor(
    server: Server,
    address: TcpAddress,
    options: TcpListenOptions,
    strategy: NodeStrategy,
  ) {
    this.#strategy = strategy;
    this.#server = server;
    this.#address = address;
    this.#options = options;
    this.connections = new ReadableStream<Connection>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#wanted = true;
          this.#deliver();
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    );
  }

  get url(): string {
    return formatTcpUrl(this.#address);
  }

  async listen(): Promise<void> {
    const { host, port, secure } = this.#address;
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
    // From here on an error is about one connection; the listener goes on.
    this.#server.on("error", (error) => this.#report(error));
    this.#server.on("tlsClientError", (error) => this.#report(error));
    this.#server.on(secure ? "secureConnection" : "connection", (socket) => this.#accept(socket));
    this.#options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (this.#options.signal?.aborted) await this.close();
    this.#options.signal?.throwIfAborted();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    // The callback of `close` waits for every connection; the port is free at once.
    this.#server.close();
    for (const socket of this.#pending.splice(0)) destroySocket(socket, true);
    try {
      this.#controller.close();
    } catch {
      // Cancelled: closed already.
    }
  }

  #accept(socket: Socket): void {
    // Until it is taken, and after it is over, somebody has to listen.
    socket.on("error", () => {});
    const most = this.#options.maxPendingConnections ?? DEFAULT_MAX_PENDING_CONNECTIONS;
    if (this.#closed || this.#pending.length >= most) {
      destroySocket(socket, true);
      return;
    }
    this.#pending.push(socket);
    this.#deliver();
  }

  #deliver(): void {
    while (this.#wanted) {
      const socket = this.#pending.shift();
      if (socket === undefined) return;
      if (socket.destroyed) continue;
      const { secure } = this.#address;
      const host = socket.remoteAddress ?? "unknown";
      const remote = formatTcpUrl({ secure, host, port: socket.remotePort ?? 0 });
      this.#wanted = false;
      this.#controller.enqueue(new LinkConnection(this.#link(socket, remote)));
    }
  }

  #link(accepted: Socket, remote: string): NodeSocketLink {
    const { onread, readBufferBytes, writev } = this.#strategy;
    if (!onread || this.#address.secure) return new NodeSocketLink(accepted, remote, writev);
    const own = new NodeReads(this.#options.readBufferBytes ?? readBufferBytes);
    const { socket, reads } = withReads(accepted, own);
    // It may fail before anybody listens.
    socket.on("error", () => {});
    return new NodeSocketLink(socket, remote, writev, reads);
  }

  #report(error: unknown): void {
    this.#options.onError?.(tcpError(`Accepting a connection on ${this.url}`, error));
  }
}
