// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import type { Connection, Duplex } from "../connection.ts";
import { deferred } from "../deferred.ts";
import { LimitError, ProtocolError, TransportError, UnauthorisedError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import { decodeChecked, decodeMessage, encodeMessage } from "../wire/control.ts";
import { errorOf, faultOf } from "../wire/fault.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import { FrameParser } from "../wire/frame_parser.ts";
import { goodbyeShape, helloShape } from "../wire/link_shapes.ts";
import type { Hello } from "../wire/messages.ts";
import { decodeNumber } from "../wire/pages.ts";
import {
  commonVersion,
  encodePreamble,
  HIGHEST_VERSION,
  LOWEST_VERSION,
} from "../wire/preamble.ts";
import { decodeReceipts, type StreamRun } from "../wire/receipts.ts";
import { faultShape } from "../wire/transfer_shapes.ts";
import type { FrameLane } from "./frame_lane.ts";
import type { Drained, InFlight } from "./in_flight.ts";
import { type BeginLane, LinkLanes } from "./link_lanes.ts";
import { OutgoingCredit } from "./outgoing_credit.ts";

/** What may wait to be written beside the data of chunks. */
const MAX_QUEUED_CONTROL_BYTES = 1024 * 1024;
/** What may travel on a further lane. */
const ON_ANY_LANE = new Set<number>([
  FRAME.ping,
  FRAME.pong,
  FRAME.digests,
  FRAME.tensor,
  FRAME.extent,
  FRAME.proof,
  FRAME.complete,
]);
/** How long the news of a failure may take to leave before the connection is ended anyway. */
const FAREWELL_MS = 100;
/** How long what is queued may take to leave at an orderly end. */
const GOODBYE_MS = 2_000;

/** Who takes a link's frames, but for those of the connection itself, once HELLO is said and heard. */
export interface LinkHandler {
  /** The link that will hand over the frames. */
  attach?(link: FrameLink): void;
  frame(header: FrameHeader, payload: Uint8Array): void;
  /** @param lane The number of the lane that the CHUNK frame came on. */
  chunk(header: FrameHeader, head: ChunkHead, dataBytes: number, lane: number): void;
  chunkData(bytes: Uint8Array, lane: number): void;
  /** A further lane may be written to. */
  lane?(lane: FrameLane): void;
  /** The other end has taken the tensors of these streams. */
  receipts?(runs: readonly StreamRun[]): void;
  /** The link, busy all the time, has brought so much to the other end. */
  drained?(drained: Drained): void;
}

/** Options of a {@linkcode FrameLink}. */
export interface FrameLinkOptions {
  /** What this end says of itself. */
  readonly hello: Hello;
  /** Whether this end accepted the connection; it then speaks only after the other has. */
  readonly accepted: boolean;
  /** Takes frames from the moment the other end has said HELLO, which is before `open` returns. */
  readonly handler: LinkHandler;
  /** Throws an {@linkcode UnauthorisedError} for a peer that is not let in. */
  readonly authorise?: (hello: Hello) => void;
  readonly limits?: Limits;
  readonly clock?: Clock;
  /** Gives up on the handshake. */
  readonly signal?: AbortSignal;
}

/**
 * Frames over a connection: preamble and HELLO each way, then anything; pings when it is quiet, a
 * fault when it stays quiet, GOODBYE at the end. One for each connection.
 */
export class FrameLink {
  /** What the other end lets this one send of chunks. */
  readonly credit: OutgoingCredit = new OutgoingCredit();
  /** Rejects when the link fails; fulfils after GOODBYE from either end. */
  readonly closed: Promise<void>;
  readonly #closed = deferred<void>();
  readonly #connection: Connection;
  readonly #lanes: LinkLanes;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #options: FrameLinkOptions;
  readonly #greeted = deferred<Hello>();
  #preambleHeard = false;
  #helloSaid = false;
  #helloHeard = false;
  /** Whether the other end said why it ends the connection; it is then not told in turn. */
  #wasTold = false;
  /** Whether the caller gave up while the ends were greeting each other. */
  #isGivenUp = false;
  #cancelTimer: () => void = () => {};
  #heardAt: number;
  #isOver = false;
  #queuedControlBytes = 0;
  #leaving: Promise<void> | undefined;
  #receivedBytes = 0;

  private constructor(connection: Connection, options: FrameLinkOptions) {
    this.closed = this.#closed.promise;
    this.#connection = connection;
    this.#options = options;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#clock = options.clock ?? systemClock;
    this.#heardAt = this.#clock.now();
    this.#lanes = new LinkLanes({
      connection,
      accepted: options.accepted,
      limits: this.#limits,
      clock: this.#clock,
      read: (...lane) => void this.#read(...lane),
      onLane: (lane) => options.handler.lane?.(lane),
      onFault: (error) => this.close(error),
    });
    options.handler.attach?.(this);
    connection.closed.catch((error) => this.close(error));
    void this.#read(connection, this.first);
  }

  /**
   * Greets the other end.
   *
   * @throws {TransportError} when the link fails or nothing is heard within `helloTimeoutMs`.
   * @throws {ProtocolError} when the other end does not speak headrace or no common version.
   * @throws {UnauthorisedError} when either end does not let the other in.
   */
  static async open(connection: Connection, options: FrameLinkOptions): Promise<FrameLink> {
    const link = new FrameLink(connection, options);
    const onAbort = () => {
      link.#isGivenUp = true;
      link.close(options.signal?.reason);
    };
    options.signal?.addEventListener("abort", onAbort, { once: true });
    const cancelDeadline = link.#clock.after(link.#limits.helloTimeoutMs, () =>
      link.close(
        new TransportError(
          `${connection.remote} did not say HELLO within ${link.#limits.helloTimeoutMs} ms`,
        ),
      ),
    );
    try {
      options.signal?.throwIfAborted();
      if (!options.accepted) link.#sayHello();
      await Promise.race([link.#greeted.promise, link.closed]);
      if (link.#isOver) throw new TransportError(`${connection.remote} left before it said HELLO`);
      // Nothing else is on its way: the answer gives the round trip.
      link.first.probe();
      link.#scheduleTick();
      void link.#lanes.keep(await link.remoteHello);
      return link;
    } catch (error) {
      link.close(error);
      throw error;
    } finally {
      cancelDeadline();
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  /** The lane that everything may travel on. */
  get first(): FrameLane {
    return this.#lanes.first;
  }

  /** What the other end said of itself. */
  get remoteHello(): Promise<Hello> {
    return this.#greeted.promise;
  }

  /** Whether the link has ended, one way or the other. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Where the other end is. */
  get remote(): string {
    return this.#connection.remote;
  }

  /** Bytes written to the connection so far, all lanes together. */
  get sentBytes(): number {
    return this.#lanes.sentBytes;
  }

  /** What is under way on the first lane. */
  get flight(): InFlight {
    return this.first.flight;
  }

  /** Bytes read from the connection so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /**
   * Queues a control frame; it goes out as soon as the link takes it. A peer that never reads is cut
   * off once a mebibyte has piled up.
   */
  send(frame: Uint8Array): void {
    if (this.#isOver || this.first.isClosing) return;
    this.#queuedControlBytes += frame.byteLength;
    if (this.#queuedControlBytes > MAX_QUEUED_CONTROL_BYTES) {
      this.close(new LimitError(`${this.remote} does not read what it asked for`));
      return;
    }
    void this.write(frame).then(
      () => {
        this.#queuedControlBytes -= frame.byteLength;
      },
      () => {},
    );
  }

  /** Writes parts of one frame back to back, on the first lane; see {@linkcode FrameLane.write}. */
  write(...parts: readonly Uint8Array[]): Promise<void> {
    return this.first.write(...parts);
  }

  /** Says GOODBYE, lets what is queued go out, and ends the connection; the first call's message is said. */
  goodbye(message?: string): Promise<void> {
    this.#leaving ??= this.#leave(message);
    return this.#leaving;
  }

  async #leave(message: string | undefined): Promise<void> {
    if (this.#isOver) return;
    const frame = encodeMessage("goodbye", 0, message === undefined ? {} : { message });
    const cancelDeadline = this.#clock.after(GOODBYE_MS, () => this.close());
    this.write(frame).catch(() => {});
    // Closing waits for all that is queued; the link may also fail, or the other end be faster.
    await Promise.race([this.first.close(), this.closed]).catch(() => {});
    cancelDeadline();
    this.close();
  }

  /** Ends the connection at once. An `error` is what {@linkcode closed} then rejects with. */
  close(error?: unknown): void {
    if (this.#isOver) return;
    // Once GOODBYE is said, the other end may well be the first to let go.
    const reason = this.#leaving && error instanceof TransportError ? undefined : error;
    this.#isOver = true;
    this.#cancelTimer();
    this.#lanes.wake();
    this.#greeted.reject(reason ?? new TransportError(`${this.remote} left`));
    if (reason === undefined) this.#closed.resolve();
    else this.#closed.reject(reason);
    void this.#tellWhy(reason).finally(() => this.#connection.close(reason));
  }

  // The other end should learn why, but a link that does not take the news must not keep us, and
  // one that has not shown to speak headrace gets no answer.
  async #tellWhy(error: unknown): Promise<void> {
    if (error === undefined || error instanceof TransportError || this.#wasTold) return;
    if (!this.#preambleHeard) return;
    const told = deferred<void>();
    const cancel = this.#clock.after(FAREWELL_MS, () => told.resolve());
    const front = this.#helloSaid ? [] : [encodePreamble()];
    // The caller's own reason stays here: to the other end it is a cancel, whatever it is.
    const reason = this.#isGivenUp ? new DOMException("", "AbortError") : error;
    const frame = encodeMessage("error", 0, faultOf(reason));
    this.write(...front, frame).then(told.resolve, () => told.resolve());
    await told.promise;
    cancel();
  }

  #sayHello(): void {
    this.#helloSaid = true;
    this.send(encodePreamble());
    const hello = { ...this.#options.hello, ...this.#lanes.taken };
    this.send(encodeMessage("hello", 0, hello, this.#limits));
  }

  /**
   * Reads a lane to its end.
   *
   * @param begin Takes the first frame of a lane that is not known yet.
   */
  async #read(
    source: Pick<Duplex, "readable" | "receive">,
    known: FrameLane | undefined,
    begin?: BeginLane,
  ): Promise<void> {
    let lane = known;
    const parser = new FrameParser(
      {
        preamble: (versions) => {
          this.#preambleHeard = true;
          commonVersion({ lowest: LOWEST_VERSION, highest: HIGHEST_VERSION }, versions);
        },
        frame: (header, payload) => {
          if (this.#isOver) return;
          if (lane) this.#frame(header, payload, lane);
          else lane = begin?.(header, payload);
        },
        chunk: (header, head, dataBytes) => {
          if (this.#isOver) return;
          if (!lane) throw new ProtocolError("A lane begins with LANE");
          this.#handlerOf(header).chunk(header, head, dataBytes, lane.index);
        },
        chunkData: (bytes) => {
          if (!this.#isOver && lane) this.#options.handler.chunkData(bytes, lane.index);
        },
      },
      this.#limits,
    );
    const onBytes = (bytes: Uint8Array): void => {
      if (this.#isOver) return;
      this.#heardAt = this.#clock.now();
      this.#receivedBytes += bytes.byteLength;
      try {
        parser.push(bytes);
      } catch (error) {
        // Not thrown on: the connection must live long enough for the other end to learn why.
        if (lane) this.close(error);
        else void source.readable.cancel(error).catch(() => {});
      }
    };
    try {
      if (source.receive) await source.receive(onBytes);
      else for await (const bytes of valuesOf(source.readable)) onBytes(bytes);
      parser.end();
      throw new TransportError(`${this.remote} ended the connection without a goodbye`);
    } catch (error) {
      if (lane) this.close(error);
    }
  }

  #handlerOf(header: FrameHeader): LinkHandler {
    if (this.#helloHeard) return this.#options.handler;
    throw new ProtocolError(
      `The peer sent a ${frameName(header.type)} frame before HELLO was over`,
    );
  }

  #frame(header: FrameHeader, payload: Uint8Array, lane: FrameLane): void {
    if (lane.index > 0 && !ON_ANY_LANE.has(header.type)) {
      throw new ProtocolError(`A ${frameName(header.type)} frame travels on the first lane only`);
    }
    if (header.stream !== 0) {
      this.#handlerOf(header).frame(header, payload);
      return;
    }
    const isGreeting = header.type === FRAME.hello || header.type === FRAME.error;
    if (!isGreeting) this.#handlerOf(header);
    switch (header.type) {
      case FRAME.hello:
        this.#heardHello(decodeMessage(helloShape, header, payload));
        break;
      case FRAME.goodbye:
        decodeMessage(goodbyeShape, header, payload);
        this.close();
        break;
      case FRAME.error:
        this.#wasTold = true;
        throw errorOf(decodeMessage(faultShape, header, payload));
      case FRAME.ping:
        lane.heardPing(decodeNumber(decodeChecked(header, payload)));
        break;
      case FRAME.pong:
        this.#heardPong(lane, decodeNumber(decodeChecked(header, payload)));
        break;
      case FRAME.credit:
        this.credit.raise(decodeNumber(decodeChecked(header, payload)));
        break;
      case FRAME.receipts:
        this.#options.handler.receipts?.(decodeReceipts(decodeChecked(header, payload)));
        break;
      default:
        throw new ProtocolError(`The peer sent a ${frameName(header.type)} frame on stream 0`);
    }
  }

  #heardHello(hello: Hello): void {
    if (this.#helloHeard) throw new ProtocolError("The peer said HELLO twice");
    this.#helloHeard = true;
    this.credit.raise(hello.connectionCredit);
    this.#options.authorise?.(hello);
    if (this.#options.accepted) this.#sayHello();
    this.#greeted.resolve(hello);
  }

  #heardPong(lane: FrameLane, value: number): void {
    const drained = lane.heardPong(value);
    if (drained) this.#options.handler.drained?.(drained);
  }

  #scheduleTick(): void {
    if (this.#isOver) return;
    this.#cancelTimer = this.#clock.after(this.#limits.pingIntervalMs, () => {
      const nowMs = this.#clock.now();
      const quietMs = nowMs - this.#heardAt;
      if (quietMs >= this.#limits.idleTimeoutMs) {
        return this.close(
          new TransportError(`Nothing was heard from ${this.remote} for ${Math.round(quietMs)} ms`),
        );
      }
      const unreadMs = this.#lanes.unansweredMs(nowMs);
      if (unreadMs >= this.#limits.stallTimeoutMs) {
        return this.close(
          new TransportError(`${this.remote} has read nothing for ${Math.round(unreadMs)} ms`),
        );
      }
      if (quietMs >= this.#limits.pingIntervalMs) this.first.probe();
      this.#scheduleTick();
    });
  }
}

/** What a stream gives; the oldest runtimes' streams are not iterable everywhere. */
async function* valuesOf<T>(stream: ReadableStream<T>): AsyncGenerator<T> {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}
