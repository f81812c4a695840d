// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import { leafCount } from "../tensor/leaf.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";
import type { MemorySink } from "./memory_sink.ts";

/** What a {@linkcode PushedTensor} is put together in and from. */
export interface PushedTensorOptions {
  /** Where it goes; nobody else writes there. */
  readonly memory: MemorySink;
  /** An earlier version, or another attempt: what matches of it is copied, and need not come. */
  readonly base?: MemorySink | undefined;
  /** Told where the tensor is: in `base`, when it turned out to be the same. */
  readonly onCommit: (memory: MemorySink) => void;
  /** Told once, when it is over, committed or not. */
  readonly onRelease: (isCommitted: boolean) => void;
}

/**
 * A tensor that is being pushed into memory, beside whatever is at its address until then. The
 * leaves that an earlier version shares with it do not travel.
 */
export class PushedTensor implements TensorSink {
  readonly #options: PushedTensorOptions;
  /** What leaves are taken over from, as long as none has been. */
  #base: MemorySink | undefined;
  /** Whether everything is in the base, which is then the tensor. */
  #isSame = false;
  #isCommitted = false;
  #isReleased = false;

  constructor(options: PushedTensorOptions) {
    this.#options = options;
    this.#base = options.base;
  }

  /** Where it goes. */
  get memory(): MemorySink {
    return this.#options.memory;
  }

  held(): Promise<Held | undefined> {
    return (this.#base ?? this.memory).held();
  }

  /** @throws {IntegrityError} when the other attempt is fetching a leaf again that it had. */
  async begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    const base = this.#base;
    if (!base) return this.memory.begin(version, keep);
    const kept = keep.map((leaf) => ({ leaf, bytes: heldLeaf(base, leaf) }));
    this.#isSame = base.committed && kept.length === leafCount(base.descriptor.byteLength);
    if (this.#isSame) return;
    this.#base = undefined;
    await this.memory.begin(version, []);
    // All at once: another attempt may go on writing to the base.
    await Promise.all(kept.map(({ leaf, bytes }) => this.memory.write(leaf, bytes)));
  }

  /** @throws {TypeError} when no leaf is wanted. */
  buffer(index: number): Uint8Array {
    this.#checkOpen();
    return this.memory.buffer(index);
  }

  async write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    this.#checkOpen();
    await this.memory.write(leaf, bytes);
  }

  async adopt(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    this.#checkOpen();
    await this.memory.adopt(leaf, bytes);
  }

  async commit(root: Uint8Array | undefined): Promise<void> {
    const memory = (this.#isSame && this.#base) || this.memory;
    await memory.commit(root);
    this.#isCommitted = true;
    this.#options.onCommit(memory);
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#options.onRelease(this.#isCommitted);
  }

  #checkOpen(): void {
    if (this.#isReleased) throw new TypeError("The tensor was released");
    if (this.#isSame) throw new TypeError("The tensor is here already: no leaf of it is wanted");
  }
}

function heldLeaf(base: MemorySink, leaf: LeafDigest): Uint8Array {
  const bytes = base.heldLeaf(leaf);
  if (bytes) return bytes;
  throw new IntegrityError("transit", `Leaf ${leaf.index} is no longer what it was when asked for`);
}
