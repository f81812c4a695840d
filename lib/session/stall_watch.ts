// This module runs in every runtime.
import type { Clock } from "../clock.ts";

/** What a {@linkcode StallWatch} watches. */
export interface StallWatchOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Whether it is the other end's turn; while it is not, time does not count. */
  readonly isWaiting: () => boolean;
  /** Called once, when nothing was heard for `timeoutMs` while it was the other end's turn. */
  readonly onStall: () => void;
}

/** How often it looks, within one timeout. */
const LOOKS = 4;

/**
 * Notices that a stream makes no progress although its link lives: a peer may answer pings for ever
 * while what it should send never comes.
 */
export class StallWatch {
  readonly #options: StallWatchOptions;
  #heardAt: number;
  #cancel: () => void = () => {};

  constructor(options: StallWatchOptions) {
    this.#options = options;
    this.#heardAt = options.clock.now();
    this.#schedule();
  }

  /** Something of the stream came. */
  heard(): void {
    this.#heardAt = this.#options.clock.now();
  }

  /** The stream is over; no timer is left behind. */
  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    const { clock, timeoutMs, isWaiting, onStall } = this.#options;
    this.#cancel = clock.after(timeoutMs / LOOKS, () => {
      if (!isWaiting()) this.heard();
      if (clock.now() - this.#heardAt >= timeoutMs) return onStall();
      this.#schedule();
    });
  }
}
