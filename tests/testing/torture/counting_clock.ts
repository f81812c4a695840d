import { type Clock, systemClock } from "../../../lib/clock.ts";

/** The runtime's own clock, which knows how many of its timers are still to come. */
export class CountingClock implements Clock {
  pending = 0;

  now(): number {
    return systemClock.now();
  }

  after(delayMs: number, callback: () => void): () => void {
    let isOver = false;
    const over = () => {
      if (!isOver) this.pending--;
      isOver = true;
    };
    this.pending++;
    const cancel = systemClock.after(delayMs, () => {
      over();
      callback();
    });
    return () => {
      over();
      cancel();
    };
  }
}
