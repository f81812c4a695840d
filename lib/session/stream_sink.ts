// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { IntegrityError } from "../errors.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";
import type { PartBytes } from "../tensor/part.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";

/**
 * Hands a tensor's leaves to whoever reads, in order. A leaf counts as safe when it has been taken,
 * so that a slow reader slows the sender; leaves that come early wait, within the sender's credit.
 */
export class StreamSink implements TensorSink {
  readonly pace = "reader";
  readonly readable: ReadableStream<Uint8Array>;
  readonly #taken: LeafDigest[] = [];
  readonly #early = new Map<
    number,
    { bytes: Uint8Array; written: Deferred<void>; leaf: LeafDigest }
  >();
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #descriptor: TensorDescriptor | undefined;
  #part: PartBytes | undefined;
  #version: SourceVersion | undefined;
  #isWanted = false;
  /** Called when somebody reads and nothing is here. */
  onWaiting: () => void = () => {};

  /** @param onCancel Called when the reader wants no more. */
  constructor(onCancel: (reason: unknown) => void) {
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#isWanted = true;
          this.#deliver();
          if (this.#isWanted) this.onWaiting();
        },
        cancel: onCancel,
      },
      { highWaterMark: 0 },
    );
  }

  /** Whether somebody reads and nothing is here. */
  get isWaiting(): boolean {
    return this.#isWanted;
  }

  /** The same sink serves every attempt; what was read already is not sent again. */
  attach(descriptor: TensorDescriptor, part: PartBytes | undefined): this {
    this.#descriptor = descriptor;
    this.#part = part;
    return this;
  }

  async held(): Promise<Held | undefined> {
    return this.#version && { version: this.#version, leaves: this.#taken };
  }

  async begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    if (keep.length < this.#taken.length) {
      throw new IntegrityError(
        "source",
        "The tensor changed after a part of it had been read from the stream",
        { retryable: false },
      );
    }
    this.#version = version;
  }

  buffer(index: number): Uint8Array {
    return new Uint8Array(leafLength(index, this.#descriptor?.byteLength ?? 0));
  }

  write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    const written = deferred<void>();
    this.#early.set(leaf.index, { leaf, bytes, written });
    this.#deliver();
    return written.promise;
  }

  settle(descriptor: TensorDescriptor): void {
    this.#descriptor = descriptor;
  }

  async commit(): Promise<void> {
    this.#controller.close();
  }

  async release(): Promise<void> {
    this.#early.clear();
  }

  /** The transfer has failed for good. */
  fail(reason: unknown): void {
    this.#controller.error(reason);
  }

  #deliver(): void {
    const first = this.#part?.leaves.first ?? 0;
    const next = this.#early.get(first + this.#taken.length);
    if (!this.#isWanted || !next) return;
    this.#isWanted = false;
    this.#early.delete(next.leaf.index);
    this.#taken.push(next.leaf);
    const { from = 0, end = Number.POSITIVE_INFINITY } = this.#part ?? {};
    const at = next.leaf.index * LEAF_BYTES;
    this.#controller.enqueue(next.bytes.subarray(Math.max(0, from - at), Math.max(0, end - at)));
    next.written.resolve();
  }
}
