// This module runs in every runtime.

/** A moment in the life of a transfer. */
export interface TransferProgress {
  /** Bytes of the tensor that are verified at the receiver, those of earlier attempts included. */
  readonly bytes: number;
  /** The tensor's length; `undefined` until it is known. */
  readonly totalBytes: number | undefined;
  /** Chunks moved so far. */
  readonly chunks: number;
  /** Chunk bytes moved so far as they were on the wire, repeats included. */
  readonly wireBytes: number;
  /** The length of the same chunks before compression. */
  readonly rawBytes: number;
  /** Bytes that earlier attempts had left in place and that were not sent again. */
  readonly resumedBytes: number;
  /** Attempts after the first. */
  readonly retries: number;
  /** Verified bytes a second, of late. */
  readonly bytesPerSecond: number;
  /** Time to the end at this rate; `undefined` while nothing can be said. */
  readonly etaMs: number | undefined;
}

/** How long a rate looks back. */
const WINDOW_MS = 5_000;

/** The rate of something that grows, over the last five seconds. */
export class RateMeter {
  readonly #samples: { atMs: number; total: number }[] = [];

  /** Notes the total at a moment; moments do not go back. */
  note(atMs: number, total: number): void {
    this.#samples.push({ atMs, total });
    while (this.#samples.length > 2 && (this.#samples[1]?.atMs ?? 0) < atMs - WINDOW_MS) {
      this.#samples.shift();
    }
  }

  /** Growth a second. */
  get perSecond(): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return 0;
    return ((last.total - first.total) * 1000) / (last.atMs - first.atMs);
  }
}
