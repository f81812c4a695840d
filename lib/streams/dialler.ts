// This module runs in every runtime.
import { type Clock, sleep } from "../clock.ts";
import { HeadraceError, RetryExhaustedError } from "../errors.ts";
import { mayRetry, type RetryPolicy, retryDelayMs } from "../retry.ts";

/** What a {@linkcode Dialler} needs. */
export interface DiallerOptions<T> {
  /** Makes a connection and greets the other end. */
  readonly open: (signal: AbortSignal) => Promise<T>;
  /** Settles when what was opened has ended. */
  readonly ended: (opened: T) => Promise<void>;
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Keeps at most one link to the same peer, and makes a new one when it is asked for after a cut. */
export class Dialler<T> {
  readonly #options: DiallerOptions<T>;
  readonly #closing = new AbortController();
  #current: T | undefined;
  #dialling: Promise<T> | undefined;
  /** Failed dials and links lost in a row, without a leaf verified in between. */
  #failures = 0;

  constructor(options: DiallerOptions<T>) {
    this.#options = options;
  }

  /** What is open now. */
  get current(): T | undefined {
    return this.#current;
  }

  /** Something was verified: the peer is worth the full number of attempts again. */
  progressed(): void {
    this.#failures = 0;
  }

  /**
   * What is open, or a new one.
   *
   * @throws {RetryExhaustedError} when the policy allows no further attempt; the cause is the last failure.
   */
  link(): Promise<T> {
    if (this.#current) return Promise.resolve(this.#current);
    this.#dialling ??= this.#dial().finally(() => {
      this.#dialling = undefined;
    });
    return this.#dialling;
  }

  /** Waits, unless the dialler is closed meanwhile. */
  pause(delayMs: number): Promise<void> {
    return sleep(this.#options.clock, delayMs, this.#closing.signal);
  }

  /** No more dials; one that is under way is given up. */
  close(reason: unknown): void {
    this.#closing.abort(reason);
  }

  async #dial(): Promise<T> {
    const { policy, clock, random, open } = this.#options;
    const { signal } = this.#closing;
    let last: unknown;
    for (;;) {
      if (!mayRetry(policy, this.#failures)) {
        const what = `Gave up after ${this.#failures} failed attempts in a row`;
        const why = last instanceof Error ? `${what}: ${last.message}` : what;
        throw new RetryExhaustedError(why, this.#failures, { cause: last });
      }
      if (this.#failures > 0)
        await sleep(clock, retryDelayMs(policy, this.#failures, random), signal);
      try {
        signal.throwIfAborted();
        return this.#adopt(await open(signal));
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof HeadraceError && error.retryable)) throw error;
        last = error;
        this.#failures++;
      }
    }
  }

  #adopt(opened: T): T {
    this.#current = opened;
    const lost = () => {
      this.#current = undefined;
      this.#failures++;
    };
    this.#options.ended(opened).then(lost, lost);
    return opened;
  }
}
