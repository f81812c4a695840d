import type { Clock } from "../../../lib/clock.ts";
import { turn } from "../../transports/conformance.ts";

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<Timer>();
  /** Every delay that was asked for, in order. */
  readonly delaysMs: number[] = [];

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.delaysMs.push(delayMs);
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that are still to come. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass, one timer after the other, each with what it sets going. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      await settle();
      const due = [...this.#timers].filter(({ atMs }) => atMs <= endMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (!next) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.callback();
    }
    this.#nowMs = endMs;
    await settle();
  }

  /** Goes on from timer to timer until the promise settles. */
  async runUntil<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const over = () => {
      isSettled = true;
    };
    promise.then(over, over);
    while (!isSettled) {
      await settle();
      const next = [...this.#timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (!isSettled && next) await this.advance(next.atMs - this.#nowMs);
    }
    return promise;
  }
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await turn();
}

/** Waits until a count is above zero and has not moved for many turns of the event loop. */
export async function quiet(count: () => number): Promise<void> {
  let last = -1;
  for (let still = 0; still < 30; still++) {
    await settle();
    if (count() === 0 || count() !== last) still = 0;
    last = count();
  }
}
