// This module runs in every runtime.

/**
 * How far a transfer's sender may be ahead of what is consumed: grown to what the round trip needs
 * by itself. When a whole window that was granted has been used and consumed within two round
 * trips, it was the window that held the sender back, and it is doubled, up to the most.
 * Arithmetic only.
 */
export class Window {
  readonly #mostBytes: number;
  #bytes: number;
  /** What was granted when the measurement began, and when that was. */
  #markBytes: number | undefined;
  #markMs = 0;

  /** @param leastBytes Where it begins, never more than `mostBytes` from then on. */
  constructor(leastBytes: number, mostBytes: number) {
    this.#bytes = leastBytes;
    this.#mostBytes = Math.max(leastBytes, mostBytes);
  }

  /** The window now. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The transfer has got so far.
   *
   * @param consumedBytes Where in the tensor everything before is consumed.
   * @param limitBytes How far the sender was allowed to go by now.
   * @param rttMs The connection's round trip, where it is known.
   */
  consumed(
    consumedBytes: number,
    limitBytes: number,
    rttMs: number | undefined,
    nowMs: number,
  ): void {
    if (this.#markBytes === undefined) {
      this.#markBytes = limitBytes;
      this.#markMs = nowMs;
    } else if (consumedBytes >= this.#markBytes) {
      const isHeldBack = rttMs !== undefined && nowMs - this.#markMs <= 2 * rttMs;
      if (isHeldBack) this.#bytes = Math.min(2 * this.#bytes, this.#mostBytes);
      this.#markBytes = limitBytes;
      this.#markMs = nowMs;
    }
  }
}
