// This module runs in every runtime.

/** A run of leaves. */
export interface LeafRange {
  readonly first: number;
  readonly count: number;
}

/**
 * Which leaves of a tensor are here: one bit each, leaf `i` in byte `i / 8` under the value
 * `1 << i % 8`. Its size is fixed by the number of leaves.
 *
 * @example
 * ```ts
 * import { LeafBitmap } from "headrace";
 *
 * const have = new LeafBitmap(4);
 * have.set(1);
 * console.log(have.count, have.firstMissing(1), [...have.missingRanges()]);
 * // 1 2 [ { first: 0, count: 1 }, { first: 2, count: 2 } ]
 * ```
 */
export class LeafBitmap {
  /** How many leaves the tensor has. */
  readonly leafTotal: number;
  readonly #bits: Uint8Array;
  #count = 0;

  /** @throws {RangeError} for a number of leaves that is not a whole number from 0 on. */
  constructor(leafTotal: number) {
    if (!Number.isSafeInteger(leafTotal) || leafTotal < 0) {
      throw new RangeError(`leafTotal must be a whole number from 0 on, found ${leafTotal}`);
    }
    this.leafTotal = leafTotal;
    this.#bits = new Uint8Array(Math.ceil(leafTotal / 8));
  }

  /**
   * Reads what {@linkcode LeafBitmap.toBytes} wrote.
   *
   * @throws {RangeError} for another length than `leafTotal` needs, or a bit set beyond the last leaf.
   */
  static fromBytes(bytes: Uint8Array, leafTotal: number): LeafBitmap {
    const wanted = Math.ceil(leafTotal / 8);
    if (bytes.byteLength !== wanted) {
      throw new RangeError(
        `A bitmap of ${leafTotal} leaves takes ${wanted} bytes, found ${bytes.byteLength}`,
      );
    }
    const bitmap = new LeafBitmap(leafTotal);
    const used = leafTotal % 8;
    if (used !== 0 && (bytes[wanted - 1] as number) >> used !== 0) {
      throw new RangeError(`A bitmap of ${leafTotal} leaves has bits set beyond the last one`);
    }
    bitmap.#bits.set(bytes);
    for (let byte of bitmap.#bits) {
      for (; byte !== 0; byte &= byte - 1) bitmap.#count++;
    }
    return bitmap;
  }

  /** How many leaves are here. */
  get count(): number {
    return this.#count;
  }

  /** Whether every leaf is here. */
  get isFull(): boolean {
    return this.#count === this.leafTotal;
  }

  /** @throws {RangeError} for a leaf that the tensor does not have. */
  has(index: number): boolean {
    this.#check(index);
    return ((this.#bits[Math.floor(index / 8)] as number) & (1 << (index % 8))) !== 0;
  }

  /**
   * Notes that the leaf is here.
   *
   * @returns whether it was missing until now.
   * @throws {RangeError} for a leaf that the tensor does not have.
   */
  set(index: number): boolean {
    if (this.has(index)) return false;
    const at = Math.floor(index / 8);
    this.#bits[at] = (this.#bits[at] as number) | (1 << (index % 8));
    this.#count++;
    return true;
  }

  /** The first leaf from `from` to before `end` that is missing, or `undefined`. */
  firstMissing(from: number = 0, end: number = this.leafTotal): number | undefined {
    return this.#next(from, false, end);
  }

  /** Runs of missing leaves, in order, as long as they get. */
  *missingRanges(): Generator<LeafRange, void, undefined> {
    let first = this.#next(0, false);
    while (first !== undefined) {
      const end = this.#next(first + 1, true) ?? this.leafTotal;
      yield { first, count: end - first };
      first = this.#next(end, false);
    }
  }

  /** A copy of the bits; those beyond the last leaf are zero. */
  toBytes(): Uint8Array {
    return this.#bits.slice();
  }

  /** The first leaf from `from` to before `end` that is here (or is not). */
  #next(from: number, here: boolean, end: number = this.leafTotal): number | undefined {
    const without = here ? 0x00 : 0xff;
    let index = from;
    while (index < end) {
      if (index % 8 === 0 && this.#bits[index / 8] === without) index += 8;
      else if (this.has(index) === here) return index;
      else index++;
    }
    return undefined;
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.leafTotal) {
      throw new RangeError(`The tensor has ${this.leafTotal} leaves, found leaf ${index}`);
    }
  }
}
