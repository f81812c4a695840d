// This module runs in every runtime.

/** More than a round trip takes, as credit is told only now and then. */
const GAIN = 2;

/**
 * How far a transfer's sender may be ahead of what is consumed: grown by itself to twice what is
 * consumed in a round trip, which is the bandwidth-delay product unless the window holds the sender
 * back; then it doubles. It never shrinks. Arithmetic only.
 */
export class Window {
  readonly #mostBytes: number;
  #bytes: number;
  /** What was consumed when the measurement began, and when that was. */
  #markBytes = 0;
  #markMs: number | undefined;

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
   * @param rttMs The connection's round trip, where it is known.
   */
  consumed(consumedBytes: number, rttMs: number | undefined, nowMs: number): void {
    if (rttMs === undefined) return;
    const elapsedMs = nowMs - (this.#markMs ?? nowMs);
    if (this.#markMs !== undefined && elapsedMs < rttMs) return;
    if (elapsedMs > 0) {
      const tripBytes = (consumedBytes - this.#markBytes) * (rttMs / elapsedMs);
      const wantedBytes = Math.min(GAIN * Math.min(tripBytes, this.#bytes), this.#mostBytes);
      this.#bytes = Math.max(this.#bytes, wantedBytes);
    }
    this.#markBytes = consumedBytes;
    this.#markMs = nowMs;
  }
}
