// This module runs in every runtime.
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import type { BufferPool } from "./buffer_pool.ts";

/**
 * The memory that a tensor's leaves are received into: the sink's own where it has some, pooled
 * where not. A chunk of a part of a leaf lands at its place in the sink's memory; without such it
 * takes no more than it used credit for, and is put together with the others when all are here.
 */
export class LeafBuffers {
  readonly #byteLength: () => number;
  readonly #sink: TensorSink;
  readonly #pool: BufferPool;
  readonly #open = new Map<number, Uint8Array>();

  /** @param byteLength The tensor's length, as far as it is known. */
  constructor(byteLength: () => number, sink: TensorSink, pool: BufferPool) {
    this.#byteLength = byteLength;
    this.#sink = sink;
    this.#pool = pool;
  }

  /** Where a chunk's bytes go as they come off the link. */
  allocate(head: ChunkHead): Uint8Array {
    if (head.codec !== 0) return new Uint8Array(head.encodedBytes);
    return this.#within(head.byteOffset, head.rawBytes) ?? new Uint8Array(head.rawBytes);
  }

  /** Puts an uncompressed chunk where it belongs, if it is not there yet. */
  place(byteOffset: number, bytes: Uint8Array): Uint8Array {
    const place = this.#within(byteOffset, bytes.byteLength);
    if (!place || place.buffer === bytes.buffer) return bytes;
    place.set(bytes);
    return place;
  }

  /** The bytes of a whole leaf, given its parts as they were placed. */
  whole(index: number, parts: readonly Uint8Array[]): Uint8Array {
    if (parts.length === 1) return parts[0] as Uint8Array;
    const placed = this.#open.get(index);
    if (placed && this.#sink.buffer) return placed;
    // What is left from a first time may be damaged: it is written over.
    const leaf = placed ?? this.#pool.take(leafLength(index, this.#byteLength()));
    let at = 0;
    for (const part of parts) {
      leaf.set(part, at);
      at += part.byteLength;
    }
    this.#open.set(index, leaf);
    return leaf;
  }

  /** The leaf's memory is needed no more. */
  free(index: number): void {
    const buffer = this.#open.get(index);
    if (this.#open.delete(index) && buffer && !this.#sink.buffer) this.#pool.give(buffer);
  }

  /** The place of bytes that lie within one leaf; `undefined` where they have none. */
  #within(byteOffset: number, byteLength: number): Uint8Array | undefined {
    const index = Math.floor(byteOffset / LEAF_BYTES);
    const within = byteOffset - index * LEAF_BYTES;
    const length = leafLength(index, this.#byteLength());
    if (within + byteLength > length) return undefined;
    if (byteLength < length && !this.#sink.buffer) return undefined;
    let leaf = this.#open.get(index);
    if (!leaf) {
      leaf = this.#sink.buffer?.(index) ?? this.#pool.take(length);
      this.#open.set(index, leaf);
    }
    return leaf.subarray(within, within + byteLength);
  }
}
