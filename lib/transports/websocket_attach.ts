import type { IncomingMessage } from "node:http";
import { Server as HttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { Connection, Listener } from "../connection.ts";
import { NodeUpgrades } from "./node_upgrades.ts";
import type { WebSocketAttachOptions } from "./websocket_options.ts";
import { formatWebSocketUrl, type WebSocketAddress } from "./websocket_url.ts";

// biome-ignore lint/suspicious/noExplicitAny: each event has arguments of its own.
type Listen = (event: string, listener: (...args: any[]) => void) => unknown;

/** Of a server of `node:http` or `node:https`, what is used here. */
export interface HttpServerLike {
  readonly on: Listen;
  readonly once: Listen;
  readonly off: Listen;
  /** How many listen to an event, of whom an upgrade may be the business. */
  listenerCount(event: string): number;
  /** Where it listens; `null` before it does. */
  address(): { readonly address: string; readonly port: number } | string | null;
}

/**
 * Takes connections at a server of `node:http` or `node:https` that is the caller's, and stays so:
 * closing the listener leaves the server as it was. `url` tells where it listens once it does.
 *
 * @throws {TypeError} when `path` does not begin with a slash.
 *
 * @example
 * ```ts
 * import { once } from "node:events";
 * import { createServer } from "node:http";
 * import { attach, connect } from "headrace/websocket-node";
 *
 * const server = createServer((_, response) => response.end("the application's own"));
 * const listener = attach(server, { path: "/tensors" });
 * await once(server.listen(0, "127.0.0.1"), "listening");
 *
 * const dialled = await connect(listener.url);
 * const { value: accepted } = await listener.connections.getReader().read();
 * dialled.close();
 * accepted?.close();
 * await listener.close();
 * server.close();
 * ```
 */
export function attach(server: HttpServerLike, options: WebSocketAttachOptions = {}): Listener {
  options.signal?.throwIfAborted();
  return new AttachedListener(server, options);
}

/** Who is attached to a server, so that one of them refuses what none of them takes. */
const ATTACHED = new WeakMap<HttpServerLike, Set<AttachedListener>>();

class AttachedListener implements Listener {
  readonly connections: ReadableStream<Connection>;
  readonly #server: HttpServerLike;
  readonly #options: WebSocketAttachOptions;
  readonly #upgrades: NodeUpgrades;
  readonly #onEnd: () => void = () => void this.close();

  constructor(server: HttpServerLike, options: WebSocketAttachOptions) {
    const { path, signal } = options;
    if (path !== undefined && !path.startsWith("/")) {
      throw new TypeError(`A path begins with a slash, found "${path}".`);
    }
    this.#server = server;
    this.#options = options;
    this.#upgrades = new NodeUpgrades(
      options,
      () => this.#address(),
      () => this.close(),
    );
    this.connections = this.#upgrades.connections;
    server.on("upgrade", this.#onUpgrade);
    const ours = ATTACHED.get(server) ?? new Set();
    ATTACHED.set(server, ours.add(this));
    server.once("close", this.#onEnd);
    signal?.addEventListener("abort", this.#onEnd, { once: true });
  }

  get url(): string {
    return formatWebSocketUrl(this.#address()) + (this.#options.path ?? "");
  }

  async close(): Promise<void> {
    this.#options.signal?.removeEventListener("abort", this.#onEnd);
    this.#server.off("close", this.#onEnd);
    this.#server.off("upgrade", this.#onUpgrade);
    ATTACHED.get(this.#server)?.delete(this);
    this.#upgrades.close();
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (this.#takes(request)) {
      this.#upgrades.upgrade(request, socket, head);
      return;
    }
    // Another's, if there is one; where nobody answers, it would stay open.
    const ours = [...(ATTACHED.get(this.#server) ?? [])];
    const isOthers = this.#server.listenerCount("upgrade") > ours.length;
    if (isOthers || ours[0] !== this || ours.some((one) => one.#takes(request))) return;
    socket.on("error", () => {});
    const paths = ours.map((one) => one.#options.path).join(" and ");
    this.#upgrades.refuse(socket, { status: 404, why: `peers are met at ${paths}` });
  };

  #takes({ url }: IncomingMessage): boolean {
    const { path } = this.#options;
    return path === undefined || url?.split("?")[0] === path;
  }

  #address(): WebSocketAddress {
    const secure = this.#server instanceof HttpsServer;
    const bound = this.#server.address();
    const { address: host, port } = typeof bound === "object" && bound ? bound : NOT_BOUND;
    return { scheme: secure ? "wss" : "ws", secure, host, port };
  }
}

/** A server that does not listen yet, or not on a port. */
const NOT_BOUND = { address: "localhost", port: 0 };
