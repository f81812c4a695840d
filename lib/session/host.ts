// This module runs in every runtime.

import type { Connection } from "../connection.ts";
import { LimitError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { TensorPeer } from "./peer.ts";
import type { TensorPeerOptions } from "./peer_options.ts";

/** Options of a {@linkcode PeerHost}. */
export interface PeerHostOptions {
  /** What each new connection's peer is made with; asked once for each. */
  readonly peer: (connection: Connection) => TensorPeerOptions;
  /** Connections that have not said HELLO yet; the oldest gives way. Default 64. */
  readonly maxSilentConnections?: number;
  /** Told when a connection's peer is over, with the reason if there is one. */
  readonly onEnd?: (peer: TensorPeer, connection: Connection, error?: unknown) => void;
}

/**
 * Gives every accepted connection a {@linkcode TensorPeer}. Connections that say nothing are few and
 * short-lived, whatever their number, so that they never keep a real peer out.
 *
 * @example
 * ```ts
 * import { PeerHost } from "headrace";
 * import { listen } from "headrace/tcp";
 *
 * const listener = await listen("tcp://127.0.0.1:0");
 * const host = new PeerHost(listener.connections, { peer: () => ({}) });
 * await listener.close();
 * await host.close();
 * ```
 */
export class PeerHost {
  /** Fulfils when the listener gives no more connections. */
  readonly done: Promise<void>;
  readonly #options: PeerHostOptions;
  readonly #peers = new Set<TensorPeer>();
  /** In the order in which they came. */
  readonly #silent = new Set<Connection>();

  constructor(connections: ReadableStream<Connection>, options: PeerHostOptions) {
    this.#options = options;
    this.done = this.#accept(connections);
    this.done.catch(() => {});
  }

  /** The peers that are connected now. */
  get peers(): readonly TensorPeer[] {
    return [...this.#peers];
  }

  /** Says goodbye to every peer. */
  async close(reason?: unknown): Promise<void> {
    await Promise.allSettled(this.peers.map((peer) => peer.close(reason)));
  }

  async #accept(connections: ReadableStream<Connection>): Promise<void> {
    const reader = connections.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      this.#welcome(next.value);
    }
  }

  #welcome(connection: Connection): void {
    const most = this.#options.maxSilentConnections ?? DEFAULT_LIMITS.maxSilentConnections;
    const [oldest] = this.#silent;
    if (oldest && this.#silent.size >= most) {
      this.#silent.delete(oldest);
      oldest.close(new LimitError(`More than ${most} connections have said nothing yet`));
    }
    this.#silent.add(connection);
    const peer = this.#peerOver(connection);
    if (!peer) return;
    this.#peers.add(peer);
    const greeted = () => this.#silent.delete(connection);
    peer.remoteHello().then(greeted, greeted);
    const over = (error?: unknown) => {
      this.#peers.delete(peer);
      this.#options.onEnd?.(peer, connection, error);
    };
    peer.closed.then(() => over(), over);
  }

  /** One connection that cannot be served must not end the service of all others. */
  #peerOver(connection: Connection): TensorPeer | undefined {
    try {
      return new TensorPeer(connection, { ...this.#options.peer(connection), accepted: true });
    } catch (error) {
      this.#silent.delete(connection);
      connection.close(error);
      return undefined;
    }
  }
}
