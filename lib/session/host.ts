// This module runs in every runtime.

import type { Connection } from "../connection.ts";
import { abortable, News } from "../deferred.ts";
import { LimitError, TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { toHex } from "../tensor/bytes.ts";
import { AttemptFences } from "./attempt_fences.ts";
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
  /** The peers that have said HELLO, by their instance. */
  readonly #byInstance = new Map<string, TensorPeer>();
  /** A newer attempt at a transfer ends an older one, whatever connection that is on. */
  readonly #fences = new AttemptFences();
  /** What all its peers are to those who dial: one place. */
  readonly #instance: Uint8Array = crypto.getRandomValues(new Uint8Array(16));
  /** Told when a peer has said HELLO. */
  readonly #news = new News();
  /** In the order in which they came. */
  readonly #silent = new Set<Connection>();

  constructor(connections: ReadableStream<Connection>, options: PeerHostOptions) {
    this.#options = options;
    this.done = this.#accept(connections);
    this.done.catch(() => {});
  }

  /** The peers that are connected now, and those of which something waits for a connection. */
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

  /**
   * A peer that comes again has lost its older connection, even if that only looks dead from here.
   * What this end began over that goes on over the newer one.
   */
  #fence(peer: TensorPeer, key: string): void {
    const older = this.#byInstance.get(key);
    this.#byInstance.set(key, peer);
    this.#news.tell();
    older?.disconnect(new TransportError("A newer connection of the same peer took its place"));
    const over = () => {
      if (this.#byInstance.get(key) === peer) this.#byInstance.delete(key);
    };
    peer.closed.then(over, over);
  }

  /** The peer over the next connection of the same other end. */
  async #successor(lost: TensorPeer, key: string, signal: AbortSignal): Promise<TensorPeer> {
    for (;;) {
      const next = this.#byInstance.get(key);
      if (next && next !== lost) return next;
      await abortable(this.#news.wait(), signal);
    }
  }

  /** One connection that cannot be served must not end the service of all others. */
  #peerOver(connection: Connection): TensorPeer | undefined {
    try {
      const options = this.#options.peer(connection);
      let instance = "";
      const peer: TensorPeer = new TensorPeer(connection, {
        fences: this.#fences,
        instance: this.#instance,
        successor: (signal) => this.#successor(peer, instance, signal),
        ...options,
        accepted: true,
        onHello: (hello) => {
          instance = toHex(hello.instance);
          this.#fence(peer, instance);
          options.onHello?.(hello);
        },
      });
      return peer;
    } catch (error) {
      this.#silent.delete(connection);
      connection.close(error);
      return undefined;
    }
  }
}
