// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import { RateMeter, type TransferProgress } from "../tensor/progress.ts";

const SAMPLE_MS = 100;

/** Counts what a transfer has done, over all its attempts. */
export class TransferMeter {
  readonly clock: Clock;
  #rate = new RateMeter();
  #totalBytes: number | undefined;
  #resumedBytes = 0;
  #verifiedBytes = 0;
  #wireBytes = 0;
  #rawBytes = 0;
  #chunks = 0;
  #sampledAt = Number.NEGATIVE_INFINITY;
  /** Attempts after the first. */
  retries = 0;

  readonly #onVerified: () => void;

  /** @param onVerified Called whenever more bytes are safe at the receiver. */
  constructor(clock: Clock, onVerified: () => void = () => {}) {
    this.clock = clock;
    this.#onVerified = onVerified;
  }

  /** An attempt begins with this much in place already; the total may not be known yet. */
  began(totalBytes: number | undefined, heldBytes: number): void {
    this.#totalBytes = totalBytes;
    this.#resumedBytes = Math.max(this.#resumedBytes, heldBytes - this.#verifiedBytes);
    // What was in place already has not moved now: it is no part of a rate.
    if (heldBytes !== this.#verifiedBytes) {
      this.#rate = new RateMeter();
      this.#sampledAt = Number.NEGATIVE_INFINITY;
    }
    this.#verifiedBytes = heldBytes;
    this.#sample();
  }

  /** The total is known now. */
  settle(totalBytes: number): void {
    this.#totalBytes = totalBytes;
  }

  /** A chunk went over the link, that many bytes long there and before compression. */
  moved(wireBytes: number, rawBytes: number): void {
    this.#chunks++;
    this.#wireBytes += wireBytes;
    this.#rawBytes += rawBytes;
  }

  /** More bytes are verified and safe at the receiver. */
  verified(bytes: number): void {
    this.#verifiedBytes += bytes;
    this.#sample();
    this.#onVerified();
  }

  /** Bytes verified so far. */
  get verifiedBytes(): number {
    return this.#verifiedBytes;
  }

  /** Where the transfer stands. */
  get progress(): TransferProgress {
    // Whoever looks is a moment as well: the rate of what stands still falls.
    if (this.#sampledAt > Number.NEGATIVE_INFINITY) this.#sample();
    const bytesPerSecond = this.#rate.perSecond;
    const leftBytes = (this.#totalBytes ?? Number.NaN) - this.#verifiedBytes;
    const etaMs = (leftBytes * 1000) / bytesPerSecond;
    return {
      bytes: this.#verifiedBytes,
      totalBytes: this.#totalBytes,
      chunks: this.#chunks,
      wireBytes: this.#wireBytes,
      rawBytes: this.#rawBytes,
      resumedBytes: this.#resumedBytes,
      retries: this.retries,
      bytesPerSecond,
      etaMs: Number.isFinite(etaMs) ? etaMs : undefined,
    };
  }

  #sample(): void {
    const now = this.clock.now();
    if (now - this.#sampledAt < SAMPLE_MS) return;
    this.#sampledAt = now;
    this.#rate.note(now, this.#verifiedBytes);
  }
}
