// This module runs in every runtime.

/** Reads share one allocation of this many read buffers while their views go to a reader for good. */
const BUFFERS_PER_SLAB = 4;

/**
 * Where the next read goes: into one buffer again and again while views are only lent, otherwise
 * into fresh memory, cut from a larger piece so that small reads do not cost a whole buffer each.
 */
export class ReadBuffer {
  readonly #byteLength: number;
  #lent: Uint8Array<ArrayBuffer> | undefined;
  #slab: Uint8Array<ArrayBuffer> | undefined;
  #usedBytes = 0;

  constructor(byteLength: number) {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new RangeError(`readBufferBytes must be a whole number above 0, got ${byteLength}.`);
    }
    this.#byteLength = byteLength;
  }

  /** Memory for one read; {@linkcode taken} says how much of it the reader keeps. */
  next(lend: boolean): Uint8Array<ArrayBuffer> {
    if (lend) {
      this.#slab = undefined;
      this.#lent ??= new Uint8Array(this.#byteLength);
      return this.#lent;
    }
    if (this.#slab === undefined || this.#slab.byteLength - this.#usedBytes < this.#byteLength) {
      this.#slab = new Uint8Array(BUFFERS_PER_SLAB * this.#byteLength);
      this.#usedBytes = 0;
    }
    return this.#slab.subarray(this.#usedBytes, this.#usedBytes + this.#byteLength);
  }

  /** The first `byteLength` bytes of `buffer` belong to a reader from now on. */
  taken(buffer: Uint8Array, byteLength: number): void {
    if (buffer.buffer === this.#slab?.buffer) this.#usedBytes += byteLength;
  }
}
