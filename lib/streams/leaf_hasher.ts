// This module runs in every runtime.
import type { Sha256 } from "../platform/sha256.ts";
import type { LeafDigest, TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";

const isDone = (digest: LeafDigest | Promise<LeafDigest>): digest is LeafDigest =>
  !(digest instanceof Promise);

/** Computes the digests of the leaves that a run of chunks holds; keeps no more than the begun leaf's views. */
export class LeafHasher {
  readonly #sha256: Sha256;
  #parts: Uint8Array[] = [];
  #nextOffset: number | undefined;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /**
   * The digests of the leaves that end in this chunk, each at once or as a promise.
   *
   * @param chunk Uncompressed; the one that follows the last one, or that begins another leaf.
   * @param isLast Whether the tensor ends here, and a short leaf with it.
   * @throws {RangeError} for a chunk that leaves out a part of a leaf.
   */
  add(chunk: TensorChunk, isLast: boolean): LeafDigest[] | Promise<LeafDigest[]> {
    const { byteOffset, bytes } = chunk;
    const isFollowing = byteOffset === this.#nextOffset;
    const isNewLeaf = this.#parts.length === 0 && byteOffset % LEAF_BYTES === 0;
    if (!isFollowing && !isNewLeaf) {
      throw new RangeError(
        `Cannot digest a leaf in part: wanted the chunk at byte ${this.#nextOffset ?? "0 of a leaf"}, found the one at ${byteOffset}`,
      );
    }
    const found: (LeafDigest | Promise<LeafDigest>)[] = [];
    let at = 0;
    while (at < bytes.byteLength) {
      const offset = byteOffset + at;
      const index = Math.floor(offset / LEAF_BYTES);
      const end = Math.min(bytes.byteLength, at + LEAF_BYTES - (offset % LEAF_BYTES));
      this.#parts.push(bytes.subarray(at, end));
      at = end;
      const endsLeaf = (byteOffset + at) % LEAF_BYTES === 0;
      if (endsLeaf || (isLast && at === bytes.byteLength)) found.push(this.#digest(index));
    }
    this.#nextOffset = byteOffset + at;
    return found.every(isDone) ? found : Promise.all(found);
  }

  #digest(index: number): LeafDigest | Promise<LeafDigest> {
    const parts = this.#parts;
    this.#parts = [];
    const digest = this.#sha256(parts);
    return digest instanceof Promise
      ? digest.then((bytes) => ({ index, digest: bytes }))
      : { index, digest };
  }
}
