// This module runs in every runtime.

/** What plain HTTP has taken out of the stores of a process; nothing but `underWay` gets less. */
export interface ResponseTotals {
  /** Bodies that are being read. */
  readonly underWay: number;
  /** Bodies that were read to their end, and those that were not. */
  readonly complete: number;
  readonly cut: number;
  /** Bytes of bodies that were taken. */
  readonly bytes: number;
}

/** One body, for whoever gives it. */
export interface MeteredBody {
  /** So many bytes more were taken. */
  gave(bytes: number): void;
  /** It is over; only the first call counts. */
  over(isComplete: boolean): void;
}

/**
 * Counts bodies of tensors that are answered over plain HTTP, where no peer and no transfer is.
 *
 * @example
 * ```ts
 * import { PeerRegistry } from "headrace";
 *
 * const { responses } = new PeerRegistry();
 * const body = responses.begin();
 * body.gave(1000);
 * body.over(true);
 * console.log(responses.totals); // { underWay: 0, complete: 1, cut: 0, bytes: 1000 }
 * ```
 */
export class ResponseMeter {
  readonly #totals = { underWay: 0, complete: 0, cut: 0, bytes: 0 };

  /** What it has come to. */
  get totals(): ResponseTotals {
    return { ...this.#totals };
  }

  /** A body begins. */
  begin(): MeteredBody {
    const totals = this.#totals;
    let isOver = false;
    totals.underWay++;
    return {
      gave: (bytes) => {
        totals.bytes += bytes;
      },
      over: (isComplete) => {
        if (isOver) return;
        isOver = true;
        totals.underWay--;
        totals[isComplete ? "complete" : "cut"]++;
      },
    };
  }
}
