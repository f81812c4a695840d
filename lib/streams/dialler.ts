// This module runs in every runtime.
import { type Clock, sleep } from "../clock.ts";
import { abortable } from "../deferred.ts";
import { HeadraceError, RetryExhaustedError, TransportError } from "../errors.ts";
import { mayRetry, type RetryPolicy, retryDelayMs } from "../retry.ts";

/** What a {@linkcode Dialler} needs. */
export interface DiallerOptions<T> {
  /** Makes a connection and greets the other end. */
  readonly open: (signal: AbortSignal) => Promise<T>;
  /** Settles when what was opened has ended. */
  readonly ended: (opened: T) => Promise<void>;
  /** Ends what was opened when nobody wants it any more. */
  readonly discard: (opened: T, reason: unknown) => void;
  /** Whether what was lost is replaced at once, although nobody asks; default: it is not. */
  readonly isMissed?: (lost: T) => boolean;
  /** What failures are forgiven now. */
  readonly policy: () => RetryPolicy;
  readonly clock: Clock;
  readonly random: () => number;
  /** Told before the pause that another attempt waits for. */
  readonly onRetry?: (attempt: number, delayMs: number, error: unknown) => void;
}

/** A dial under way, its retries included, and how many wait for it. */
interface Dial<T> {
  readonly opened: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

/** Keeps at most one link to the same peer, and makes a new one when it is asked for after a cut. */
export class Dialler<T> {
  readonly #options: DiallerOptions<T>;
  readonly #closing = new AbortController();
  #current: T | undefined;
  #dial: Dial<T> | undefined;
  /** Failed dials and links lost in a row, without a leaf verified in between. */
  #failures = 0;
  #lastFailure: unknown;

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
   * What is open, or a new one. A dial goes on for as long as somebody waits for it.
   *
   * @param signal Gives up waiting.
   * @throws {RetryExhaustedError} when the policy allows no further attempt; the cause is the last
   *   failure. The next call begins to count anew.
   */
  async link(signal?: AbortSignal): Promise<T> {
    if (this.#current) return this.#current;
    signal?.throwIfAborted();
    this.#dial ??= this.#begin();
    const dial = this.#dial;
    dial.waiting++;
    try {
      return await abortable(dial.opened, signal);
    } finally {
      dial.waiting--;
      if (dial.waiting === 0 && this.#dial === dial) {
        this.#dial = undefined;
        dial.stop.abort(signal?.reason);
      }
    }
  }

  /** Waits, unless the dialler is closed or the signal comes meanwhile. */
  pause(delayMs: number, signal?: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const slept = abortable(this.#sleep(delayMs, stop.signal), this.#closing.signal);
    return abortable(slept, signal).finally(() => stop.abort());
  }

  /** No more dials; one that is under way is given up. */
  close(reason: unknown): void {
    this.#closing.abort(reason);
    this.#dial?.stop.abort(this.#closing.signal.reason);
  }

  #begin(): Dial<T> {
    const stop = new AbortController();
    if (this.#closing.signal.aborted) stop.abort(this.#closing.signal.reason);
    const opened = this.#attempt(stop.signal);
    const dial = { opened, stop, waiting: 0 };
    const over = () => {
      if (this.#dial === dial) this.#dial = undefined;
    };
    opened.then(over, over);
    return dial;
  }

  async #attempt(signal: AbortSignal): Promise<T> {
    const { random, open, discard, onRetry } = this.#options;
    const policy = this.#options.policy();
    for (;;) {
      signal.throwIfAborted();
      if (!mayRetry(policy, this.#failures)) throw this.#exhausted();
      if (this.#failures > 0) {
        const delayMs = retryDelayMs(policy, this.#failures, random);
        onRetry?.(this.#failures, delayMs, this.#lastFailure);
        await this.#sleep(delayMs, signal);
      }
      try {
        const opened = await open(signal);
        if (!signal.aborted) return this.#adopt(opened);
        discard(opened, signal.reason);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof HeadraceError && error.retryable)) throw error;
        this.#failed(error);
      }
    }
  }

  #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return sleep(this.#options.clock, delayMs, signal);
  }

  #adopt(opened: T): T {
    this.#current = opened;
    const lost = (error?: unknown) => {
      this.#current = undefined;
      this.#failed(error ?? new TransportError("The peer said goodbye"));
      if (error && this.#options.isMissed?.(opened)) this.link().catch(() => {});
    };
    this.#options.ended(opened).then(() => lost(), lost);
    return opened;
  }

  #failed(error: unknown): void {
    this.#failures++;
    this.#lastFailure = error;
  }

  #exhausted(): RetryExhaustedError {
    const failures = this.#failures;
    const last = this.#lastFailure;
    this.#failures = 0;
    const why = last instanceof Error ? `: ${last.message}` : "";
    const message = `Gave up after ${failures} failed attempts in a row${why}`;
    return new RetryExhaustedError(message, failures, { cause: last });
  }
}
