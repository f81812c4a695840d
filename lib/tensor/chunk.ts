// This module runs in every runtime.
import { LEAF_BYTES } from "./leaf.ts";

/** The digest of one leaf. */
export interface LeafDigest {
  readonly index: number;
  /** SHA-256 of the leaf's bytes. */
  readonly digest: Uint8Array;
}

/**
 * What travels between stages: a run of a tensor's bytes, and what the stages so far have said of it.
 * `bytes` is a view; whoever hands it on no longer writes to it.
 */
export interface TensorChunk {
  /** Where the chunk begins in the tensor. */
  readonly byteOffset: number;
  /** Its length before compression. */
  readonly rawBytes: number;
  /** The bytes themselves, compressed when `codec` is not `"none"`. */
  readonly bytes: Uint8Array;
  /** The name of the compression in force. */
  readonly codec: string;
  /** XXH32 of the uncompressed bytes. */
  readonly checksum?: number;
  /** Digests of the leaves that end inside this chunk. */
  readonly leafDigests?: readonly LeafDigest[];
}

/** The least that `chunkBytes` may be. */
export const MIN_CHUNK_BYTES = 1024;
/** The most that `chunkBytes` may be: 64 MiB. */
export const MAX_CHUNK_BYTES: number = 64 * 1024 * 1024;

/** @throws {RangeError} for a chunk size that is not a whole number from 1 KiB to 64 MiB. */
export function checkChunkBytes(chunkBytes: number): number {
  if (
    !Number.isInteger(chunkBytes) ||
    chunkBytes < MIN_CHUNK_BYTES ||
    chunkBytes > MAX_CHUNK_BYTES
  ) {
    throw new RangeError(
      `chunkBytes must be a whole number from ${MIN_CHUNK_BYTES} to ${MAX_CHUNK_BYTES}, found ${chunkBytes}`,
    );
  }
  return chunkBytes;
}

/**
 * Where the chunk that begins at `byteOffset` ends, whatever the size of the tensor.
 *
 * Up to a leaf's size, chunks begin anew at each leaf; above it, a chunk is the whole number of
 * leaves that fit into `chunkBytes`. So no chunk ever holds a part of two leaves.
 */
export function chunkEnd(byteOffset: number, chunkBytes: number): number {
  if (chunkBytes >= LEAF_BYTES) {
    const whole = chunkBytes - (chunkBytes % LEAF_BYTES);
    return byteOffset - (byteOffset % whole) + whole;
  }
  const leafStart = byteOffset - (byteOffset % LEAF_BYTES);
  const within = byteOffset - leafStart;
  return Math.min(leafStart + within - (within % chunkBytes) + chunkBytes, leafStart + LEAF_BYTES);
}
