// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import type { Connection } from "../connection.ts";
import { deferred, News } from "../deferred.ts";
import { TransportError } from "../errors.ts";
import type { Fault } from "./fault.ts";
import { FaultyWay, type WayReport } from "./faulty_way.ts";

/** What goes wrong with a {@linkcode FaultyConnection}, from where it stands. */
export interface FaultyConnectionOptions {
  /** Faults of what is written to it. */
  readonly sent?: readonly Fault[];
  /** Faults of what is read from it. */
  readonly received?: readonly Fault[];
  /** Measures stalls, rates and delays; default: the runtime's own. */
  readonly clock?: Clock;
}

/**
 * A connection over another one, with faults in between. Backpressure and half-closes go through as
 * they are; an unread buffer and what is delayed or throttled are all that it holds. `close` drops
 * what is still on its way.
 *
 * @example
 * ```ts
 * import { connectionPair } from "headrace/memory";
 * import { FaultyConnection } from "headrace/testing";
 *
 * const [near, far] = connectionPair();
 * const faulty = new FaultyConnection(near, { sent: [{ kind: "flip", atByte: 1, bits: 32 }] });
 * const writer = faulty.writable.getWriter();
 * writer.write(new TextEncoder().encode("hello"));
 * writer.close();
 * console.log(await new Response(far.readable).text()); // hEllo
 * ```
 */
export class FaultyConnection implements Connection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;
  readonly remote: string;
  readonly #inner: Connection;
  readonly #closed = deferred<void>();
  readonly #sent: FaultyWay;
  readonly #received: FaultyWay;
  /** Told when the reader wants more, or all is over. */
  readonly #news = new News();
  #reading!: ReadableStreamDefaultController<Uint8Array>;
  #writing!: WritableStreamDefaultController;
  #isWanted = false;
  #wasPulled = false;
  #readOver = false;
  #writeOver = false;
  #failure: { readonly reason: unknown } | undefined;

  constructor(inner: Connection, options: FaultyConnectionOptions = {}) {
    const { sent = [], received = [], clock = systemClock } = options;
    this.#inner = inner;
    this.remote = inner.remote;
    this.closed = this.#closed.promise;
    this.readable = this.#createReadable();
    this.writable = this.#createWritable();
    const writer = inner.writable.getWriter();
    const shared = {
      clock,
      cut: () => this.close(new TransportError("The fault plan cut the connection")),
      close: () => this.close(),
      onError: (error: unknown) => this.#fail(error),
    };
    this.#sent = new FaultyWay({
      ...shared,
      faults: sent,
      write: (bytes) => writer.write(bytes),
      end: () => writer.close(),
    });
    this.#received = new FaultyWay({
      ...shared,
      faults: received,
      write: (bytes) => this.#deliver(bytes),
      flush: () => this.#untilWanted(),
      end: async () => this.#endReading(),
    });
    inner.closed.catch((error) => this.#fail(error));
    writer.closed.catch((error) => this.#fail(error));
    void this.#pump();
  }

  /** What has become of what was written. */
  get sent(): WayReport {
    return this.#sent.report;
  }

  /** What has become of what came from the other end. */
  get received(): WayReport {
    return this.#received.report;
  }

  async receive(onBytes: (view: Uint8Array) => void | Promise<void>): Promise<void> {
    if (this.#wasPulled || this.readable.locked) {
      throw new TypeError("Cannot receive: readable is locked or has been read from already.");
    }
    const reader = this.readable.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      try {
        await onBytes(next.value);
      } catch (error) {
        this.close(error);
        throw error;
      }
    }
  }

  close(reason?: unknown): void {
    if (this.#isOver) return;
    if (reason === undefined) this.#closed.resolve();
    else this.#closed.reject(reason);
    this.#end(reason ?? new TransportError(`The connection to ${this.remote} was closed here.`));
    this.#inner.close(reason);
  }

  get #isOver(): boolean {
    return this.#failure !== undefined || (this.#readOver && this.#writeOver);
  }

  /** Carries what the other end sends into the way, as the way takes it. */
  async #pump(): Promise<void> {
    try {
      const reader = this.#inner.readable.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        await this.#received.take(next.value);
      }
      await this.#received.end();
    } catch (error) {
      this.#fail(error);
    }
  }

  #createReadable(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#reading = controller;
        },
        pull: () => {
          this.#wasPulled = true;
          this.#isWanted = true;
          this.#news.tell();
        },
        cancel: (reason) => this.#giveUp(reason, "cancelling"),
      },
      { highWaterMark: 0 },
    );
  }

  #createWritable(): WritableStream<Uint8Array> {
    return new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller;
        // The stream holds `abort` back until the running write is over: the signal does not.
        controller.signal.addEventListener("abort", () =>
          this.#giveUp(controller.signal.reason, "aborting"),
        );
      },
      write: (bytes) => this.#sent.take(bytes),
      close: async () => {
        await this.#sent.end();
        this.#writeOver = true;
        this.#finishWhenOver();
      },
    });
  }

  async #deliver(bytes: Uint8Array): Promise<void> {
    await this.#untilWanted();
    this.#isWanted = false;
    this.#reading.enqueue(bytes);
  }

  /** The reader comes back once it is done with what it has. */
  async #untilWanted(): Promise<void> {
    while (!this.#isWanted && !this.#failure) await this.#news.wait();
    if (this.#failure) throw this.#failure.reason;
  }

  #endReading(): void {
    if (this.#failure || this.#readOver) return;
    this.#readOver = true;
    this.#reading.close();
    this.#finishWhenOver();
  }

  #finishWhenOver(): void {
    if (!this.#readOver || !this.#writeOver || this.#failure) return;
    this.#closed.resolve();
    // Where a fault ended the reading, the other end may have more, which nobody will read.
    this.#inner.close();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end(error);
    this.#inner.close(error);
    this.#closed.reject(error);
  }

  #giveUp(reason: unknown, by: "aborting" | "cancelling"): void {
    if (this.#isOver) return;
    this.#end(reason, by);
    this.#inner.close(reason);
    this.#closed.reject(reason);
  }

  #end(reason: unknown, by?: "aborting" | "cancelling"): void {
    this.#failure = { reason };
    this.#sent.stop(reason);
    this.#received.stop(reason);
    if (!this.#readOver && by !== "cancelling") this.#reading.error(reason);
    if (!this.#writeOver && by !== "aborting") this.#writing.error(reason);
    this.#news.tell();
  }
}
