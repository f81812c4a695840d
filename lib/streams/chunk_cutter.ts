// This module runs in every runtime.
import { checkChunkBytes, chunkEnd, type TensorChunk } from "../tensor/chunk.ts";

/** Options of a chunker. */
export interface ChunkerOptions {
  /** The size of a chunk, a whole number from 1 KiB to 64 MiB; default 1 MiB. */
  readonly chunkBytes?: number;
  /** Where the input's first byte is in the tensor; default 0. */
  readonly byteOffset?: number;
}

/** @throws {RangeError} for options that are out of range. */
export function checkChunkerOptions(options: ChunkerOptions): Required<ChunkerOptions> {
  const { chunkBytes = 1024 * 1024, byteOffset = 0 } = options;
  if (!Number.isSafeInteger(byteOffset) || byteOffset < 0) {
    throw new RangeError(`byteOffset must be a whole number from 0, found ${byteOffset}`);
  }
  return { chunkBytes: checkChunkBytes(chunkBytes), byteOffset };
}

/** A chunk as it leaves the chunker. */
export function rawChunk(byteOffset: number, bytes: Uint8Array): TensorChunk {
  return { byteOffset, rawBytes: bytes.byteLength, bytes, codec: "none" };
}

/**
 * Cuts a run of bytes, however it comes sliced, into chunks. A chunk that lies in one slice is a
 * view of it; one that lies in several is put together by one copy of each byte. So the slices
 * belong to the cutter once given.
 */
export class ChunkCutter {
  readonly #chunkBytes: number;
  #chunkStart: number;
  #chunkLength: number;
  /** The begun chunk: a view of the only slice so far, or a buffer as long as the chunk. */
  #begun: Uint8Array = new Uint8Array();
  #filledBytes = 0;

  constructor(options: ChunkerOptions = {}) {
    const { chunkBytes, byteOffset } = checkChunkerOptions(options);
    this.#chunkBytes = chunkBytes;
    this.#chunkStart = byteOffset;
    this.#chunkLength = chunkEnd(byteOffset, chunkBytes) - byteOffset;
  }

  /** The chunks that end within this slice; iterate to the end before the next call. */
  *push(slice: Uint8Array): Generator<TensorChunk, void, undefined> {
    let at = 0;
    while (at < slice.byteLength) {
      const taken = Math.min(slice.byteLength - at, this.#chunkLength - this.#filledBytes);
      this.#take(slice.subarray(at, at + taken));
      at += taken;
      if (this.#filledBytes === this.#chunkLength) yield this.#emit();
    }
  }

  /** What is left when the input has ended: at most one short chunk. */
  finish(): TensorChunk | undefined {
    return this.#filledBytes === 0 ? undefined : this.#emit();
  }

  #take(part: Uint8Array): void {
    if (this.#filledBytes === 0) {
      this.#begun = part;
    } else {
      if (this.#begun.byteLength < this.#chunkLength) {
        const whole = new Uint8Array(this.#chunkLength);
        whole.set(this.#begun);
        this.#begun = whole;
      }
      this.#begun.set(part, this.#filledBytes);
    }
    this.#filledBytes += part.byteLength;
  }

  #emit(): TensorChunk {
    const chunk = rawChunk(this.#chunkStart, this.#begun.subarray(0, this.#filledBytes));
    this.#chunkStart += this.#filledBytes;
    this.#chunkLength = chunkEnd(this.#chunkStart, this.#chunkBytes) - this.#chunkStart;
    this.#begun = new Uint8Array();
    this.#filledBytes = 0;
    return chunk;
  }
}
