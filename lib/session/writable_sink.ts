// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { IntegrityError } from "../errors.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";

/** A leaf that is here, and told of once it is written. */
interface Waiting {
  readonly leaf: LeafDigest;
  readonly bytes: Uint8Array;
  readonly written: Deferred<void>;
}

/** Options of {@linkcode WritableSink}. */
export interface WritableSinkOptions {
  /**
   * Whether the stream gets copies of its own, default true. `false` is for a stream that is done
   * with a leaf's bytes when its write is kept, as a socket, a file or a worker's
   * `FixedLengthStream` is: the peer uses their memory again from then on, and a few MiB are all that
   * a tensor of any size takes. Where a reader at the other end of a `TransformStream` may still hold
   * them, they would change under its hands.
   */
  readonly copies?: boolean;
}

/**
 * Writes a whole tensor into a stream, in order, each leaf verified before; what a transfer's
 * `readable` is for, where the stream is given.
 *
 * The same sink serves every attempt. A part of a tensor, or one of unknown length, cannot be written.
 *
 * @example
 * ```ts
 * import { MemoryStore, TensorPeer, WritableSink } from "headrace";
 * import { connectionPair } from "headrace/memory";
 *
 * const address = { model: "m", partition: "default", tensor: "w" };
 * const store = new MemoryStore();
 * store.set(address, new Float32Array([1, 2, 3]));
 * const [here, there] = connectionPair();
 * await using server = new TensorPeer(there, { store, accepted: true, node: "server" });
 * await using client = new TensorPeer(here);
 *
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const reading = new Response(readable).arrayBuffer();
 * const sink = new WritableSink(writable);
 * await client.requestTensor(address, { into: () => sink }).done.catch((error) => {
 *   sink.abort(error);
 *   throw error;
 * });
 * console.log(new Float32Array(await reading)); // Float32Array(3) [ 1, 2, 3 ]
 * ```
 */
export class WritableSink implements TensorSink {
  readonly pace = "reader";
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #copies: boolean;
  readonly #written: LeafDigest[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #version: SourceVersion | undefined;
  /** A write that is under way, by an attempt that may be over. */
  #writing: Promise<void> | undefined;
  #isWriting = false;

  /** @throws {TypeError} for a stream that is locked. */
  constructor(writable: WritableStream<Uint8Array>, { copies = true }: WritableSinkOptions = {}) {
    this.#copies = copies;
    this.#writer = writable.getWriter();
    // Whoever writes hears of it.
    this.#writer.closed.catch(() => {});
  }

  async held(): Promise<Held | undefined> {
    await this.#writing;
    return this.#version && { version: this.#version, leaves: this.#written };
  }

  /** @throws {IntegrityError} at source, when what was written is not of this version. */
  async begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    if (keep.length < this.#written.length) {
      throw new IntegrityError(
        "source",
        "The tensor changed after a part of it had been written into the stream",
        { retryable: false },
      );
    }
    this.#version = version.slice();
  }

  /** Kept once the stream has taken the leaf, and all before it. */
  write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    const written = deferred<void>();
    this.#waiting.set(leaf.index, { leaf, bytes, written });
    if (!this.#isWriting) this.#writing = this.#writeOn();
    return written.promise;
  }

  /** Closes the stream. */
  async commit(): Promise<void> {
    await this.#writer.close();
  }

  async release(): Promise<void> {
    this.#waiting.clear();
  }

  /** The transfer has failed for good, and whoever reads is to know. */
  abort(reason: unknown): void {
    this.#writer.abort(reason).catch(() => {});
  }

  async #writeOn(): Promise<void> {
    this.#isWriting = true;
    for (;;) {
      const next = this.#waiting.get(this.#written.length);
      if (!next) break;
      this.#waiting.delete(next.leaf.index);
      try {
        await this.#writer.write(this.#copies ? next.bytes.slice() : next.bytes);
        this.#written.push(next.leaf);
        next.written.resolve();
      } catch (error) {
        next.written.reject(error);
        break;
      }
    }
    this.#isWriting = false;
  }
}
