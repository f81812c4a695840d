// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import type { Connection } from "../connection.ts";
import { deferred } from "../deferred.ts";
import { LimitError, ProtocolError, TransportError, UnauthorisedError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import { decodeChecked, decodeMessage, encodeChecked, encodeMessage } from "../wire/control.ts";
import { errorOf, faultOf } from "../wire/fault.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import { type FrameHandler, FrameParser } from "../wire/frame_parser.ts";
import type { Hello } from "../wire/messages.ts";
import { decodeNumber, encodeNumber } from "../wire/pages.ts";
import {
  commonVersion,
  encodePreamble,
  HIGHEST_VERSION,
  LOWEST_VERSION,
} from "../wire/preamble.ts";

/** What may wait to be written beside the data of chunks. */
const MAX_QUEUED_CONTROL_BYTES = 1024 * 1024;
/** How long the news of a failure may take to leave before the connection is ended anyway. */
const FAREWELL_MS = 100;
/** How long what is queued may take to leave at an orderly end. */
const GOODBYE_MS = 2_000;

/** Who takes a link's frames, but for those of the connection itself, once HELLO is said and heard. */
export interface LinkHandler {
  /** The link that will hand over the frames. */
  attach?(link: FrameLink): void;
  frame(header: FrameHeader, payload: Uint8Array): void;
  chunk(header: FrameHeader, head: ChunkHead, dataBytes: number): void;
  chunkData(bytes: Uint8Array): void;
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
  /** Rejects when the link fails; fulfils after GOODBYE from either end. */
  readonly closed: Promise<void>;
  readonly #closed = deferred<void>();
  readonly #connection: Connection;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #options: FrameLinkOptions;
  readonly #greeted = deferred<Hello>();
  #preambleHeard = false;
  #helloSaid = false;
  #helloHeard = false;
  /** Whether the other end said why it ends the connection; it is then not told in turn. */
  #wasTold = false;
  #cancelTimer: () => void = () => {};
  #heardAt: number;
  #isOver = false;
  #queuedControlBytes = 0;
  #isPongQueued = false;
  #leaving: Promise<void> | undefined;
  /** Whether the last word is said: nothing can be written after it. */
  #hasSaidAll = false;
  #sentBytes = 0;
  #receivedBytes = 0;

  private constructor(connection: Connection, options: FrameLinkOptions) {
    this.closed = this.#closed.promise;
    this.#connection = connection;
    this.#options = options;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#clock = options.clock ?? systemClock;
    this.#heardAt = this.#clock.now();
    this.#writer = connection.writable.getWriter();
    options.handler.attach?.(this);
    this.#writer.closed.catch((error) => this.close(error));
    connection.closed.catch((error) => this.close(error));
    void this.#read();
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
    const onAbort = () => link.close(options.signal?.reason);
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
      link.#scheduleTick();
      return link;
    } catch (error) {
      link.close(error);
      throw error;
    } finally {
      cancelDeadline();
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  /** What the other end said of itself. */
  get remoteHello(): Promise<Hello> {
    return this.#greeted.promise;
  }

  /** Where the other end is. */
  get remote(): string {
    return this.#connection.remote;
  }

  /** Bytes written to the connection so far. */
  get sentBytes(): number {
    return this.#sentBytes;
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
    if (this.#isOver || this.#hasSaidAll) return;
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

  /**
   * Writes parts of one frame back to back.
   *
   * @returns once the link has the bytes and their buffers may be used again.
   */
  write(...parts: readonly Uint8Array[]): Promise<void> {
    if (this.#hasSaidAll) {
      const late = Promise.reject(new TransportError(`${this.remote} was said goodbye`));
      late.catch(() => {});
      return late;
    }
    let last: Promise<void> = Promise.resolve();
    for (const part of parts) {
      this.#sentBytes += part.byteLength;
      last = this.#writer.write(part);
      last.catch(() => {});
    }
    return last;
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
    this.#hasSaidAll = true;
    // Closing waits for all that is queued; the link may also fail, or the other end be faster.
    await Promise.race([this.#writer.close(), this.closed]).catch(() => {});
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
    const frame = encodeMessage("error", 0, faultOf(error));
    this.write(...front, frame).then(told.resolve, () => told.resolve());
    await told.promise;
    cancel();
  }

  #sayHello(): void {
    this.#helloSaid = true;
    this.send(encodePreamble());
    this.send(encodeMessage("hello", 0, this.#options.hello, this.#limits));
  }

  async #read(): Promise<void> {
    const parser = new FrameParser(this.#frameHandler(), this.#limits);
    const onBytes = (bytes: Uint8Array): void => {
      if (this.#isOver) return;
      this.#heardAt = this.#clock.now();
      this.#receivedBytes += bytes.byteLength;
      try {
        parser.push(bytes);
      } catch (error) {
        // Not thrown on: the connection must live long enough for the other end to learn why.
        this.close(error);
      }
    };
    try {
      const { readable, receive } = this.#connection;
      if (receive) await receive.call(this.#connection, onBytes);
      else for await (const bytes of valuesOf(readable)) onBytes(bytes);
      parser.end();
      throw new TransportError(`${this.remote} ended the connection without a goodbye`);
    } catch (error) {
      this.close(error);
    }
  }

  #frameHandler(): FrameHandler {
    return {
      preamble: (versions) => {
        this.#preambleHeard = true;
        commonVersion({ lowest: LOWEST_VERSION, highest: HIGHEST_VERSION }, versions);
      },
      frame: (header, payload) => this.#frame(header, payload),
      chunk: (header, head, dataBytes) => {
        if (!this.#isOver) this.#handlerOf(header).chunk(header, head, dataBytes);
      },
      chunkData: (bytes) => {
        if (!this.#isOver) this.#options.handler.chunkData(bytes);
      },
    };
  }

  #handlerOf(header: FrameHeader): LinkHandler {
    if (this.#helloHeard) return this.#options.handler;
    throw new ProtocolError(
      `The peer sent a ${frameName(header.type)} frame before HELLO was over`,
    );
  }

  #frame(header: FrameHeader, payload: Uint8Array): void {
    if (this.#isOver) return;
    if (header.stream !== 0) {
      this.#handlerOf(header).frame(header, payload);
      return;
    }
    const isGreeting = header.type === FRAME.hello || header.type === FRAME.error;
    if (!isGreeting) this.#handlerOf(header);
    switch (header.type) {
      case FRAME.hello:
        this.#heardHello(decodeMessage("hello", header, payload));
        break;
      case FRAME.goodbye:
        decodeMessage("goodbye", header, payload);
        this.close();
        break;
      case FRAME.error:
        this.#wasTold = true;
        throw errorOf(decodeMessage("error", header, payload));
      case FRAME.ping:
        this.#pong(decodeNumber(decodeChecked(header, payload)));
        break;
      case FRAME.pong:
        decodeNumber(decodeChecked(header, payload));
        break;
      default:
        throw new ProtocolError(`The peer sent a ${frameName(header.type)} frame on stream 0`);
    }
  }

  #heardHello(hello: Hello): void {
    if (this.#helloHeard) throw new ProtocolError("The peer said HELLO twice");
    this.#helloHeard = true;
    this.#options.authorise?.(hello);
    if (this.#options.accepted) this.#sayHello();
    this.#greeted.resolve(hello);
  }

  // A flood of pings is answered by at most one pong at a time.
  #pong(value: number): void {
    if (this.#isPongQueued) return;
    this.#isPongQueued = true;
    const frame = encodeChecked(FRAME.pong, 0, encodeNumber(value));
    const done = () => {
      this.#isPongQueued = false;
    };
    this.write(frame).then(done, done);
  }

  #scheduleTick(): void {
    if (this.#isOver) return;
    this.#cancelTimer = this.#clock.after(this.#limits.pingIntervalMs, () => {
      const quietMs = this.#clock.now() - this.#heardAt;
      if (quietMs >= this.#limits.idleTimeoutMs) {
        return this.close(
          new TransportError(`Nothing was heard from ${this.remote} for ${Math.round(quietMs)} ms`),
        );
      }
      if (quietMs >= this.#limits.pingIntervalMs) {
        this.send(encodeChecked(FRAME.ping, 0, encodeNumber(0)));
      }
      this.#scheduleTick();
    });
  }
}

/** What a stream gives; the oldest runtimes' streams are not iterable everywhere. */
async function* valuesOf<T>(stream: ReadableStream<T>): AsyncGenerator<T> {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}
