// This module runs in every runtime.

import type { Connection } from "../connection.ts";
import { TransportError } from "../errors.ts";
import type { Link, LinkEvents } from "./link.ts";
import { WriteCoalescer } from "./write_coalescer.ts";

/** Bytes that may wait in `writable` before `writer.ready` makes a writer wait. */
const WRITE_QUEUE_BYTES = 1024 * 1024;

/** Makes a {@linkcode Connection} of a {@linkcode Link}. */
export class LinkConnection implements Connection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;
  readonly remote: string;
  readonly slack?: NonNullable<Connection["slack"]>;

  readonly #link: Link;
  #readableController!: ReadableStreamDefaultController<Uint8Array>;
  #writableController!: WritableStreamDefaultController;
  #settleClosed!: { resolve(): void; reject(reason: unknown): void };
  #onBytes: ((view: Uint8Array) => void | Promise<void>) | undefined;
  #wasPulled = false;
  #moreWanted = false;
  #lending = false;
  #endDue = false;
  #readOver = false;
  #writeOver = false;
  /** Why it ended early; set once. */
  #failure: { readonly reason: unknown } | undefined;

  constructor(link: Link) {
    this.#link = link;
    this.remote = link.remote;
    if (link.slack) this.slack = link.slack;
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = { resolve, reject };
    });
    this.closed.catch(() => {});
    // Not a byte stream: that would detach each buffer, and views share theirs with the next read.
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#readableController = controller;
        },
        pull: () => this.#pull(),
        cancel: (reason) => this.#giveUp(reason, true),
      },
      { highWaterMark: 0 },
    );
    this.writable = this.#createWritable();
    link.start(this.#events);
  }

  async receive(onBytes: (view: Uint8Array) => void | Promise<void>): Promise<void> {
    if (this.#wasPulled || this.readable.locked) {
      throw new TypeError("Cannot receive: readable is locked or has been read from already.");
    }
    const reader = this.readable.getReader();
    this.#onBytes = onBytes;
    if (this.#failure === undefined && !this.#readOver) this.#link.resume(true);
    return reader.closed;
  }

  close(reason?: unknown): void {
    this.#giveUp(reason, reason !== undefined);
  }

  readonly #events: LinkEvents = {
    bytes: (view) => {
      if (this.#failure !== undefined) return false;
      if (this.#onBytes !== undefined) return this.#lend(view, this.#onBytes);
      this.#moreWanted = false;
      this.#readableController.enqueue(view);
      return this.#moreWanted;
    },
    end: () => {
      // Not before the reader is done with the last view.
      if (this.#lending) this.#endDue = true;
      else this.#endReading();
    },
    fail: (error) => this.#fail(error),
  };

  #pull(): void {
    this.#wasPulled = true;
    this.#moreWanted = true;
    this.#link.resume(false);
  }

  #lend(view: Uint8Array, onBytes: (view: Uint8Array) => void | Promise<void>): boolean {
    try {
      const taken = onBytes(view);
      if (taken === undefined) return this.#failure === undefined;
      this.#lending = true;
      taken.then(
        () => {
          this.#lending = false;
          if (this.#endDue) this.#endReading();
          else if (this.#failure === undefined) this.#link.resume(true);
        },
        (error) => this.#fail(error),
      );
    } catch (error) {
      this.#fail(error);
    }
    return false;
  }

  #endReading(): void {
    if (this.#failure !== undefined || this.#readOver) return;
    this.#readOver = true;
    this.#readableController.close();
    this.#finishWhenOver();
  }

  #createWritable(): WritableStream<Uint8Array> {
    const coalescer = new WriteCoalescer(this.#link, (error) => this.#fail(error));
    const orFail = (error: unknown): never => {
      this.#fail(error);
      throw this.#failure?.reason ?? error;
    };
    return new WritableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#writableController = controller;
          // The stream holds `abort` back until the running write is over: the signal does not.
          controller.signal.addEventListener("abort", () =>
            this.#giveUp(controller.signal.reason, true, "aborting"),
          );
        },
        write: (chunk) => coalescer.write(chunk)?.catch(orFail),
        close: async () => {
          await coalescer
            .flush()
            .then(() => this.#link.end())
            .catch(orFail);
          this.#writeOver = true;
          this.#finishWhenOver();
        },
      },
      {
        highWaterMark: WRITE_QUEUE_BYTES,
        size: (chunk) => {
          coalescer.announce();
          return chunk?.byteLength ?? 0;
        },
      },
    );
  }

  #finishWhenOver(): void {
    if (!this.#readOver || !this.#writeOver || this.#failure !== undefined) return;
    this.#link.release(false);
    this.#settleClosed.resolve();
  }

  #fail(error: unknown): void {
    if (this.#isOver()) return;
    this.#end(error, true);
    this.#settleClosed.reject(error);
  }

  #giveUp(reason: unknown, reset: boolean, writable?: "aborting"): void {
    if (this.#isOver()) return;
    this.#end(
      reason ?? new TransportError(`The connection to ${this.remote} was closed at this end.`),
      reset,
      writable,
    );
    if (reason === undefined) this.#settleClosed.resolve();
    else this.#settleClosed.reject(reason);
  }

  #isOver(): boolean {
    return this.#failure !== undefined || (this.#readOver && this.#writeOver);
  }

  #end(reason: unknown, reset: boolean, writable?: "aborting"): void {
    this.#failure = { reason };
    this.#link.release(reset);
    if (!this.#readOver) this.#readableController.error(reason);
    // An abort that finds the stream in error already would reject, though all went well.
    if (writable !== "aborting") this.#writableController.error(reason);
  }
}
