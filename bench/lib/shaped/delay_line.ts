/** Gives everything back in order, a fixed time after it came. */
export class DelayLine<T> {
  readonly #delayMs: number;
  readonly #give: (value: T) => void;
  #waiting: { readonly value: T; readonly dueMs: number }[] = [];
  /** Given back already; cut off when there are many. */
  #given = 0;
  #isTimed = false;

  constructor(delayMs: number, give: (value: T) => void) {
    this.#delayMs = delayMs;
    this.#give = give;
  }

  push(value: T): void {
    this.#waiting.push({ value, dueMs: performance.now() + this.#delayMs });
    if (!this.#isTimed) this.#wait(this.#delayMs);
  }

  #wait(ms: number): void {
    this.#isTimed = true;
    setTimeout(() => this.#giveDue(), ms);
  }

  #giveDue(): void {
    this.#isTimed = false;
    // A timer is a millisecond late as often as not: what is due in half a one is due.
    const nowMs = performance.now() + 0.5;
    for (;;) {
      const next = this.#waiting[this.#given];
      if (next === undefined) break;
      if (next.dueMs > nowMs) {
        this.#wait(next.dueMs - nowMs);
        break;
      }
      this.#given++;
      this.#give(next.value);
    }
    if (this.#given < 1024) return;
    this.#waiting = this.#waiting.slice(this.#given);
    this.#given = 0;
  }
}
