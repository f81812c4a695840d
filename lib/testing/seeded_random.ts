// This module runs in every runtime.

/** Odd, with its bits well spread: what a counter is stepped by. */
const STEP = 0x9e3779b9;
/** Numbers that are thrown away, so that seeds beside each other have nothing in common. */
const WARM_UP = 16;

/**
 * Numbers that look random and are the same for the same seed, in every runtime. Three words are
 * mixed with a counter, so that it never falls into a short cycle. Not for secrets.
 *
 * @example
 * ```ts
 * import { SeededRandom } from "headrace/testing";
 *
 * const random = new SeededRandom(7);
 * const again = new SeededRandom(7);
 * console.log(random.below(100) === again.below(100)); // true
 * ```
 */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  /**
   * @param seed A whole number, all 53 bits of which count.
   * @throws {RangeError} for a seed that is not a safe whole number.
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`A seed must be a whole number below 2^53, found ${seed}`);
    }
    this.#a = mixed(seed >>> 0);
    this.#b = mixed(Math.floor(seed / 2 ** 32) ^ STEP);
    this.#c = mixed(this.#a ^ this.#b);
    for (let n = 0; n < WARM_UP; n++) this.word();
  }

  /** A whole number from 0 to 2^32, 2^32 excluded. */
  word(): number {
    const out = (this.#a + this.#b + this.#count) >>> 0;
    this.#count = (this.#count + STEP) >>> 0;
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0;
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + out) >>> 0;
    return out;
  }

  /** A number from 0 to 1, 1 excluded. */
  unit(): number {
    return this.word() / 2 ** 32;
  }

  /** A whole number from 0 to `limit`, `limit` excluded. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** A whole number from `least` to `most`, every order of magnitude as likely; `least` is above 0. */
  spread(least: number, most: number): number {
    return Math.min(most, Math.floor(least * (most / least) ** this.unit()));
  }

  /** Whether something happens that happens with this probability. */
  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /**
   * One of the items.
   * @throws {RangeError} when there is none.
   */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("Cannot pick one of nothing");
    return items[this.below(items.length)] as T;
  }

  /** Bytes that no codec makes smaller. */
  bytes(byteLength: number): Uint8Array<ArrayBuffer> {
    const words = new Uint32Array(Math.ceil(byteLength / 4));
    for (let at = 0; at < words.length; at++) words[at] = this.word();
    return new Uint8Array(words.buffer, 0, byteLength);
  }
}

/** A word in which every bit depends on every bit of the given one. */
function mixed(word: number): number {
  let state = (word + STEP) >>> 0;
  for (const [shift, factor] of [
    [16, 0x85ebca6b],
    [13, 0xc2b2ae35],
    [16, STEP],
  ] as const) {
    state = Math.imul(state ^ (state >>> shift), factor) >>> 0;
  }
  return (state ^ (state >>> 15)) >>> 0;
}
