// This module runs in every runtime.

interface Waiting {
  readonly priority: number;
  readonly start: (release: () => void) => void;
}

/**
 * Hands out a few turns at a time: the highest priority first, and among equals first come, first
 * served. A transfer asks anew for every run of bytes, so equals alternate and an urgent one waits
 * for no more than the turns already given.
 */
export class Turns {
  readonly #atOnce: number;
  readonly #waiting: Waiting[] = [];
  #given = 0;

  /** @param atOnce How many turns may be out at once. */
  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** @returns the function that gives the turn back, once it is this one's turn. */
  take(priority: number): Promise<() => void> {
    return new Promise((start) => {
      const after = this.#waiting.findIndex((other) => other.priority < priority);
      const place = after < 0 ? this.#waiting.length : after;
      this.#waiting.splice(place, 0, { priority, start });
      this.#next();
    });
  }

  #next(): void {
    if (this.#given >= this.#atOnce) return;
    const waiting = this.#waiting.shift();
    if (!waiting) return;
    this.#given++;
    let isOut = true;
    waiting.start(() => {
      if (!isOut) return;
      isOut = false;
      this.#given--;
      this.#next();
    });
  }
}
