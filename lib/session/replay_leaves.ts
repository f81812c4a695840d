// This module runs in every runtime.
import { SourceNotRewindableError } from "../errors.ts";
import type { LeafRange } from "../tensor/bitmap.ts";
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";
import { BufferPool } from "./buffer_pool.ts";

/**
 * The leaves of a stream that may be wanted again: filled in order, let go in any order, as soon as
 * they are safe at the other end. Their memory is used again, so that a long stream takes no more of
 * it than what is kept, and is given out in copies only.
 */
export class ReplayLeaves {
  readonly #mostLeaves: number;
  readonly #mostBytes: number;
  readonly #leaves = new Map<number, Uint8Array>();
  readonly #memory: BufferPool;
  #keptBytes = 0;
  #filledBytes = 0;
  #isEnded = false;

  /**
   * @param mostLeaves How many leaves are kept at once.
   * @param mostBytes The bytes that the stream has at most.
   * @param memory Where leaves are taken from and given back to; by itself kept for this stream.
   */
  constructor(
    mostLeaves: number,
    mostBytes: number,
    memory: BufferPool = new BufferPool(mostLeaves),
  ) {
    this.#mostLeaves = mostLeaves;
    this.#mostBytes = mostBytes;
    this.#memory = memory;
  }

  /** Memory that is taken. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** Bytes of the stream that came this far, let go or not. */
  get filledBytes(): number {
    return this.#filledBytes;
  }

  /** Takes what there is room for, from the front. @returns how many bytes that is. */
  fill(bytes: Uint8Array): number {
    let taken = 0;
    while (taken < bytes.byteLength) {
      const place = this.#place();
      if (place === undefined) break;
      const part = bytes.subarray(taken, taken + place.byteLength);
      place.set(part);
      taken += part.byteLength;
      this.#filledBytes += part.byteLength;
    }
    return taken;
  }

  /** No more will come: the last leaf is whole as it is. */
  end(): void {
    this.#isEnded = true;
  }

  /** @throws {SourceNotRewindableError} when a leaf of these bytes was let go. */
  check(byteOffset: number, byteLength: number): void {
    const end = Math.min(byteOffset + byteLength, this.#filledBytes);
    for (let at = byteOffset; at < end; at += LEAF_BYTES - (at % LEAF_BYTES)) this.#leafAt(at);
  }

  /**
   * Copies bytes that have come.
   *
   * @throws {SourceNotRewindableError} when a leaf of them was let go.
   */
  copy(byteOffset: number, into: Uint8Array): void {
    for (let at = 0; at < into.byteLength; ) {
      const within = (byteOffset + at) % LEAF_BYTES;
      const length = Math.min(LEAF_BYTES - within, into.byteLength - at);
      into.set(this.#leafAt(byteOffset + at).subarray(within, within + length), at);
      at += length;
    }
  }

  /** Lets go of leaves; of those that have not come in whole, nothing is believed. */
  letGo(ranges: readonly LeafRange[]): void {
    for (const { first, count } of ranges) {
      if (count < this.#leaves.size) {
        for (let index = first; index < first + count; index++) this.#drop(index);
      } else {
        for (const index of this.#leaves.keys()) {
          if (index >= first && index < first + count) this.#drop(index);
        }
      }
    }
  }

  /** Lets go of everything. */
  clear(): void {
    this.#leaves.clear();
    this.#memory.clear();
    this.#keptBytes = 0;
  }

  /** The rest of the leaf that is being filled, or `undefined` when there is no room for more. */
  #place(): Uint8Array | undefined {
    if (this.#filledBytes >= this.#mostBytes) return undefined;
    const index = Math.floor(this.#filledBytes / LEAF_BYTES);
    let leaf = this.#leaves.get(index);
    if (leaf === undefined) {
      if (this.#leaves.size >= this.#mostLeaves) return undefined;
      leaf = this.#memory.take(leafLength(index, this.#mostBytes));
      this.#leaves.set(index, leaf);
      this.#keptBytes += leaf.byteLength;
    }
    return leaf.subarray(this.#filledBytes % LEAF_BYTES);
  }

  #leafAt(byteOffset: number): Uint8Array {
    const index = Math.floor(byteOffset / LEAF_BYTES);
    const leaf = this.#leaves.get(index);
    if (leaf) return leaf;
    throw new SourceNotRewindableError(
      `Leaf ${index} was acknowledged and let go, and a stream cannot be read again`,
      { byteOffset: index * LEAF_BYTES },
    );
  }

  #drop(index: number): void {
    const leaf = this.#leaves.get(index);
    const isWhole = this.#isEnded || (index + 1) * LEAF_BYTES <= this.#filledBytes;
    if (leaf === undefined || !isWhole) return;
    this.#leaves.delete(index);
    this.#keptBytes -= leaf.byteLength;
    // Nothing is taken any more once the stream has ended.
    if (!this.#isEnded) this.#memory.give(leaf);
  }
}
