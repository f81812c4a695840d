// This module runs in every runtime.
import type { LeafDigest } from "../tensor/chunk.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";
import { LeafSink } from "./leaf_sink.ts";

/** What an {@linkcode OpenPush} is put together from, and who is told. */
export interface OpenPushOptions {
  /** What an earlier attempt left. */
  readonly partial: LeafSink | undefined;
  /** The tensor, its outermost dimension the most that may come. */
  readonly descriptor: TensorDescriptor;
  /** Takes room for so many bytes more; refuses by throwing. */
  readonly take: (bytes: number) => void;
  readonly onCommit: (descriptor: TensorDescriptor, bytes: Uint8Array) => void;
  /** Told once, when it is over, with the room that it took. */
  readonly onRelease: (leaves: LeafSink, takenBytes: number, isCommitted: boolean) => void;
}

/** A tensor of unknown length that is being pushed into memory. */
export class OpenPush implements TensorSink {
  readonly pace = "memory";
  readonly #options: OpenPushOptions;
  readonly #leaves: LeafSink;
  #takenBytes = 0;
  #isCommitted = false;
  #isReleased = false;

  constructor(options: OpenPushOptions) {
    this.#options = options;
    this.#leaves = options.partial ?? new LeafSink(options.descriptor);
    this.#leaves.settle(options.descriptor);
    this.#take(this.#leaves.heldBytes);
  }

  held(): Promise<Held | undefined> {
    return this.#leaves.held();
  }

  begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    return this.#leaves.begin(version, keep);
  }

  async write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    this.#take(bytes.byteLength);
    await this.#leaves.write(leaf, bytes);
  }

  settle(descriptor: TensorDescriptor): void {
    this.#leaves.settle(descriptor);
  }

  async commit(): Promise<void> {
    this.#options.onCommit(this.#leaves.descriptor, this.#leaves.bytes());
    this.#isCommitted = true;
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#options.onRelease(this.#leaves, this.#takenBytes, this.#isCommitted);
  }

  #take(bytes: number): void {
    this.#options.take(bytes);
    this.#takenBytes += bytes;
  }
}
