// This module runs in every runtime.
import { deferred } from "../deferred.ts";
import type { Link, LinkEvents } from "./link.ts";
import { tcpError } from "./tcp_errors.ts";

/** Of the socket of `cloudflare:sockets`, what is used here. */
export interface WorkerSocket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /** Kept once there is a connection, and TLS where that was asked for. */
  readonly opened: Promise<unknown>;
  readonly closed: Promise<void>;
  /** Closes both ways once what was written is sent. */
  close(): Promise<void>;
}

/** Longer writes end a connection in production, whatever they do on one's own machine. */
export const MOST_SOCKET_WRITE_BYTES: number = 64 * 1024;
/** A view for good that would keep four times its memory alive is copied instead. */
const WORTH_KEEPING = 4;

/** A connected socket of a worker as a {@linkcode Link}. It has no reset: it closes. */
export class WorkerSocketLink implements Link {
  readonly remote: string;
  readonly #socket: WorkerSocket;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #readBufferBytes: number;
  /** Each read takes the memory away, and gives it back. */
  #memory: ArrayBuffer | undefined;
  #events: LinkEvents | undefined;
  #lend = false;
  #isReading = false;
  #isReleased = false;
  /** Rejects the write that is under way. */
  #abandon: ((reason: unknown) => void) | undefined;

  constructor(socket: WorkerSocket, remote: string, readBufferBytes: number) {
    this.#socket = socket;
    this.remote = remote;
    this.#readBufferBytes = readBufferBytes;
    this.#reader = socket.readable.getReader({ mode: "byob" });
    this.#writer = socket.writable.getWriter();
    // Whoever reads or writes hears of a failure.
    for (const over of [socket.closed, this.#reader.closed, this.#writer.closed]) {
      over.catch(() => {});
    }
  }

  start(events: LinkEvents): void {
    this.#events = events;
  }

  resume(lend: boolean): void {
    this.#lend = lend;
    if (!this.#isReading && !this.#isReleased) void this.#readOn();
  }

  write(pieces: readonly Uint8Array[]): Promise<void> {
    return this.#untilReleased(async () => {
      for (const piece of pieces) {
        for (let at = 0; at < piece.byteLength; at += MOST_SOCKET_WRITE_BYTES) {
          if (this.#isReleased) return;
          await this.#writer.write(piece.subarray(at, at + MOST_SOCKET_WRITE_BYTES));
        }
      }
    });
  }

  end(): Promise<void> {
    return this.#untilReleased(() => this.#writer.close());
  }

  release(_reset: boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#memory = undefined;
    this.#abandon?.(this.#explain(new Error("it was closed at this end")));
    // A write that is stuck holds the socket until the peer reads or the request is over: aborting
    // the writer instead would hold it to the request's end in any case.
    for (const over of [this.#reader.cancel(), this.#socket.close()]) over.catch(() => {});
  }

  /** A write that is stuck stays so in the runtime, but nobody here waits for it. */
  async #untilReleased(work: () => Promise<void>): Promise<void> {
    const over = deferred<void>();
    this.#abandon = over.reject;
    work().then(over.resolve, (error) => over.reject(this.#explain(error)));
    await over.promise;
    this.#abandon = undefined;
  }

  async #readOn(): Promise<void> {
    this.#isReading = true;
    try {
      let isMoreWanted = true;
      while (isMoreWanted && !this.#isReleased) {
        const memory = this.#memory ?? new ArrayBuffer(this.#readBufferBytes);
        this.#memory = undefined;
        const { done, value } = await this.#reader.read(new Uint8Array(memory));
        if (this.#isReleased) return;
        if (done) return this.#events?.end();
        isMoreWanted = this.#handOver(value);
      }
    } catch (error) {
      if (!this.#isReleased) this.#events?.fail(this.#explain(error));
    } finally {
      this.#isReading = false;
    }
  }

  #handOver(view: Uint8Array<ArrayBuffer>): boolean {
    const isKept = !this.#lend && view.byteLength * WORTH_KEEPING >= view.buffer.byteLength;
    const isCopied = !this.#lend && !isKept;
    const given = isCopied ? view.slice() : view;
    // Not before the next read, which begins once a reader is done with what it was lent.
    if (!isKept) this.#memory = view.buffer;
    return this.#events?.bytes(given) ?? false;
  }

  #explain(error: unknown): Error {
    return tcpError(`The connection to ${this.remote}`, error);
  }
}
