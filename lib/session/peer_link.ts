// This module runs in every runtime.
import type { Connect, Connection } from "../connection.ts";
import { abortable } from "../deferred.ts";
import { ProtocolError, TransportError, UnauthorisedError } from "../errors.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../retry.ts";
import { Dialler } from "../streams/dialler.ts";
import { FrameLink } from "../streams/frame_link.ts";
import { toHex } from "../tensor/bytes.ts";
import type { Hello } from "../wire/messages.ts";
import { Channel, type StreamOpener } from "./channel.ts";
import { type ConnectionView, transportOf } from "./connection_view.ts";
import type { TensorPeerOptions } from "./peer_options.ts";
import { helloOf } from "./peer_setup.ts";
import { PriorityScheduler } from "./scheduler.ts";
import type { SessionContext } from "./session_context.ts";
import { logConnection, logRedial, logRefused } from "./session_log.ts";

/** What a {@linkcode PeerLink} is made with. */
export interface PeerLinkOptions {
  readonly context: SessionContext;
  readonly peer: TensorPeerOptions;
  /** Opens the party for a stream that the other end begins. */
  readonly open: StreamOpener;
  /**
   * For an end that was dialled: gives the link of the other end's next connection, once it comes.
   * What this end began goes on over that.
   */
  readonly successor?: ((signal: AbortSignal) => Promise<PeerLink>) | undefined;
}

/**
 * A peer's way to the other end: dialled anew after a cut where there is a `connect` function; where
 * the connection was given, lent by the peer over the next one, if the other end comes back.
 */
export class PeerLink {
  readonly retry: RetryPolicy;
  readonly random: () => number;
  readonly dialler: Dialler<Channel>;
  readonly #options: PeerLinkOptions;
  readonly #canDial: boolean;
  readonly #hello: Hello;
  /** The channel over a connection of this peer's own; not one that is lent. */
  #own: Channel | undefined;
  /** What the other end of that said of itself. */
  #remote: Hello | undefined;
  /** Bytes that earlier links have sent and received. */
  #sentBefore = 0;
  #receivedBefore = 0;
  #hasGreeted = false;
  /** Whether the other end, which alone can dial, is known, and has not said goodbye. */
  #mayComeBack = false;

  constructor(link: Connection | Connect, options: PeerLinkOptions) {
    const { context, peer, successor } = options;
    this.#options = options;
    this.#hello = helloOf(peer, context);
    this.#canDial = typeof link === "function";
    this.retry = { ...DEFAULT_RETRY_POLICY, ...peer.retry };
    this.random = peer.random ?? Math.random;
    let given = typeof link === "function" ? undefined : link;
    const open = async (signal: AbortSignal): Promise<Channel> => {
      if (typeof link === "function") return this.#greet(await link(signal), signal);
      const connection = given;
      given = undefined;
      if (connection) return this.#greet(connection, signal);
      if (successor && this.canReplace) return this.#comeBack(successor, link.remote, signal);
      throw new TransportError(`The connection to ${link.remote} has ended`);
    };
    this.dialler = new Dialler({
      open,
      ended: (channel) => channel.link.closed,
      discard: (channel, reason) => {
        if (channel === this.#own) channel.link.close(reason);
      },
      // What the other end has begun here, it cannot dial for.
      isMissed: (channel) => this.#canDial && channel.isWantedThere,
      policy: () => this.#policy(),
      clock: context.clock,
      random: this.random,
      onRetry: logRedial,
    });
  }

  /** Whether a lost link can be replaced. */
  get canReplace(): boolean {
    return this.#canDial || this.#mayComeBack;
  }

  /** What is open over a connection of this peer's own. */
  get own(): Channel | undefined {
    return this.#own;
  }

  /** What is to be seen of the connection of this peer's own; `undefined` while there is none. */
  get view(): ConnectionView | undefined {
    const [own, hello] = [this.#own, this.#remote];
    if (!own || !hello) return undefined;
    const { remote, flight, sentBytes, receivedBytes } = own.link;
    return {
      remote,
      transport: transportOf(remote),
      node: hello.node,
      role: hello.role,
      instance: toHex(hello.instance),
      hasDialled: !(this.#options.peer.accepted ?? false),
      rttMs: flight.rttMs,
      sentBytes,
      receivedBytes,
    };
  }

  /** Bytes written to the peer's own connections, everything counted. */
  get sentBytes(): number {
    return this.#sentBefore + (this.#own?.link.sentBytes ?? 0);
  }

  /** Bytes read from the peer's own connections, everything counted. */
  get receivedBytes(): number {
    return this.#receivedBefore + (this.#own?.link.receivedBytes ?? 0);
  }

  #policy(): RetryPolicy {
    if (this.#canDial) return this.retry;
    // Whoever waits for the other end to dial has no pause to make.
    return { ...this.retry, ...(this.canReplace ? { baseDelayMs: 0 } : { maxRetries: 0 }) };
  }

  async #comeBack(
    successor: (signal: AbortSignal) => Promise<PeerLink>,
    remote: string,
    signal: AbortSignal,
  ): Promise<Channel> {
    const { clock, limits } = this.#options.context;
    const stop = new AbortController();
    const cancel = clock.after(limits.returnTimeoutMs, () =>
      stop.abort(
        new TransportError(`${remote} did not come back within ${limits.returnTimeoutMs} ms`, {
          retryable: false,
        }),
      ),
    );
    try {
      const next = await abortable(successor(stop.signal), signal);
      return await abortable(next.dialler.link(stop.signal), signal);
    } finally {
      cancel();
      stop.abort(signal.reason);
    }
  }

  async #greet(connection: Connection, signal: AbortSignal): Promise<Channel> {
    const { context, peer, open } = this.#options;
    const { clock, limits } = context;
    const { accepted = false, authorise, onHello, scheduler } = peer;
    const channel = new Channel({
      isDialler: !accepted,
      clock,
      maxStreams: limits.maxTransfers,
      maxRequests: limits.maxRequests,
      windowBytes: this.#hello.connectionCredit,
      scheduler: scheduler ?? (() => new PriorityScheduler()),
      open,
    });
    const opened = FrameLink.open(connection, {
      hello: this.#hello,
      handler: channel,
      accepted,
      authorise: (hello) => {
        const { token } = hello;
        const isLetIn = !accepted || (authorise?.(token) ?? true);
        if (isLetIn) {
          this.#remote = hello;
          return onHello?.(hello);
        }
        throw new UnauthorisedError(
          token === undefined ? "A token is needed to connect" : "The token is not the right one",
        );
      },
      limits,
      clock,
      signal,
    });
    const link = await opened.catch((error) => {
      logRefused(connection, error);
      // Whoever spoke headrace before does so still: it is the link that damaged a greeting.
      const isDamage = this.#canDial && this.#hasGreeted && error instanceof ProtocolError;
      throw isDamage ? new TransportError(error.message, { cause: error }) : error;
    });
    const said = (hello: Hello) => logConnection(connection, link, hello, clock);
    link.remoteHello.then(said, () => {});
    this.#hasGreeted = true;
    this.#own = channel;
    this.#mayComeBack = this.#options.successor !== undefined;
    const over = () => {
      this.#sentBefore += link.sentBytes;
      this.#receivedBefore += link.receivedBytes;
      if (this.#own === channel) this.#own = undefined;
    };
    const left = () => {
      over();
      this.#mayComeBack = false;
    };
    link.closed.then(left, over);
    return channel;
  }
}
