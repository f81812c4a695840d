// This module runs in every runtime.
import { LimitError } from "../errors.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";

/** How a {@linkcode MemorySink} gets its memory. */
export interface MemorySinkOptions {
  /** Where the tensor goes; at least its length. Left out, the sink allocates. */
  readonly into?: Uint8Array;
  /** The largest tensor for which the sink allocates. Default: 2 GiB. */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 2 * 1024 ** 3;

/**
 * Takes one tensor into memory. A declared length is not believed until bytes arrive: nothing is
 * allocated before the first leaf. The same sink, handed to a second attempt, still holds what the
 * first one verified.
 *
 * @example
 * ```ts
 * import { createDescriptor } from "headrace";
 * import { MemorySink } from "headrace";
 *
 * const sink = new MemorySink(createDescriptor("U8", [3]));
 * await sink.begin(new Uint8Array(), []);
 * await sink.write({ index: 0, digest: new Uint8Array(32) }, Uint8Array.of(1, 2, 3));
 * await sink.commit(undefined);
 * sink.bytes; // Uint8Array [1, 2, 3]
 * ```
 */
export class MemorySink implements TensorSink {
  readonly pace = "memory";
  readonly descriptor: TensorDescriptor;
  #bytes: Uint8Array | undefined;
  #version: SourceVersion | undefined;
  #leaves = new Map<number, LeafDigest>();
  #committed = false;

  /**
   * @throws {LimitError} when the tensor is longer than `maxBytes`.
   * @throws {RangeError} when `into` is shorter than the tensor.
   */
  constructor(descriptor: TensorDescriptor, options: MemorySinkOptions = {}) {
    const { byteLength } = descriptor;
    const { into, maxBytes = DEFAULT_MAX_BYTES } = options;
    if (into === undefined && byteLength > maxBytes) {
      throw new LimitError(
        `Cannot take a tensor of ${byteLength} bytes into memory: at most ${maxBytes} are allowed`,
      );
    }
    if (into !== undefined && into.byteLength < byteLength) {
      throw new RangeError(`The tensor takes ${byteLength} bytes, but into has ${into.byteLength}`);
    }
    this.descriptor = descriptor;
    this.#bytes = into?.subarray(0, byteLength);
  }

  /** Whether all leaves are here and the root matched. */
  get committed(): boolean {
    return this.#committed;
  }

  /**
   * The whole tensor.
   * @throws {TypeError} before it is committed.
   */
  get bytes(): Uint8Array {
    if (!this.#committed) throw new TypeError("The tensor is not complete yet");
    return this.#allocated();
  }

  /** How many leaves are held. */
  get heldCount(): number {
    return this.#leaves.size;
  }

  /** The bytes of a leaf, if it is held with this digest. */
  heldLeaf({ index, digest }: LeafDigest): Uint8Array | undefined {
    const leaf = this.#leaves.get(index);
    if (leaf === undefined || !equalBytes(leaf.digest, digest)) return undefined;
    const start = index * LEAF_BYTES;
    return this.#allocated().subarray(start, start + LEAF_BYTES);
  }

  async held(): Promise<Held | undefined> {
    if (this.#version === undefined) return undefined;
    return { version: this.#version, leaves: [...this.#leaves.values()] };
  }

  async begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    const kept = new Map<number, LeafDigest>();
    for (const { index, digest } of keep) {
      const leaf = this.#leaves.get(index);
      if (leaf !== undefined && equalBytes(leaf.digest, digest)) kept.set(index, leaf);
    }
    this.#leaves = kept;
    this.#version = version.slice();
    this.#committed = false;
  }

  /**
   * The leaf's own place. What was held of it is forgotten: its bytes are about to change.
   * @throws {TypeError | RangeError} before `begin`, or for a leaf that the tensor does not have.
   */
  buffer(index: number): Uint8Array {
    if (this.#version === undefined) throw new TypeError("A leaf was asked for before begin()");
    const length = checkIndex(index, this.descriptor.byteLength);
    this.#leaves.delete(index);
    this.#committed = false;
    return this.#allocated().subarray(index * LEAF_BYTES, index * LEAF_BYTES + length);
  }

  /** @throws {TypeError | RangeError} as `buffer`, and for bytes that are not as long as the leaf. */
  async write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    checkLeaf(leaf, bytes, this.descriptor.byteLength);
    const place = this.buffer(leaf.index);
    const isThere = bytes.buffer === place.buffer && bytes.byteOffset === place.byteOffset;
    if (!isThere) place.set(bytes);
    this.#leaves.set(leaf.index, { index: leaf.index, digest: leaf.digest.slice() });
  }

  /** Keeps the bytes where they are the whole tensor and have no place yet; else as `write`. */
  async adopt(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    const isWhole = bytes.byteLength === this.descriptor.byteLength;
    const isOwn = bytes.byteLength === bytes.buffer.byteLength;
    if (!this.#bytes && this.#version && isWhole && isOwn) {
      checkIndex(leaf.index, bytes.byteLength);
      this.#bytes = bytes;
    }
    await this.write(leaf, bytes);
  }

  /** @throws {TypeError} when leaves are missing. */
  async commit(_root: Uint8Array | undefined): Promise<void> {
    const wanted = leafCount(this.descriptor.byteLength);
    if (this.#leaves.size !== wanted) {
      throw new TypeError(`A tensor of ${wanted} leaves was committed with ${this.#leaves.size}`);
    }
    this.#committed = true;
  }

  async release(): Promise<void> {}

  #allocated(): Uint8Array {
    this.#bytes ??= new Uint8Array(this.descriptor.byteLength);
    return this.#bytes;
  }
}

/** The length of the leaf, which must be one of the tensor's. */
function checkIndex(index: number, byteLength: number): number {
  const count = leafCount(byteLength);
  if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
    throw new RangeError(`The tensor has leaves 0 to ${count - 1}, found leaf ${index}`);
  }
  return leafLength(index, byteLength);
}

/**
 * Checks a leaf against the tensor it is for.
 *
 * @throws {RangeError} when the tensor has no such leaf or the leaf has another length.
 */
export function checkLeaf(leaf: LeafDigest, bytes: Uint8Array, byteLength: number): void {
  const wanted = checkIndex(leaf.index, byteLength);
  if (bytes.byteLength !== wanted) {
    throw new RangeError(`Leaf ${leaf.index} has ${wanted} bytes, found ${bytes.byteLength}`);
  }
}
