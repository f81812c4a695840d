// This module runs in every runtime.
import { HeadraceError, IntegrityError, RemoteError, RetryExhaustedError } from "../errors.ts";
import { mayRetry, type RetryPolicy, retryDelayMs } from "../retry.ts";
import type { Dialler } from "../streams/dialler.ts";
import type { Channel } from "./channel.ts";
import { logRetry } from "./session_log.ts";
import type { Transfer } from "./transfer.ts";
import type { TransferMeter } from "./transfer_meter.ts";
import type { Verified } from "./verdict.ts";

/** One attempt at a transfer over one connection. */
export interface Attempt {
  readonly done: Promise<void>;
  /** The verified root, once it is done. */
  readonly root?: Uint8Array | undefined;
  cancel(reason: unknown): void;
  /** Ends it without a word. */
  fail(reason: unknown): void;
  /** How far everything was checked, once it is done. */
  readonly verified?: Verified | undefined;
  reprioritise(priority: number): void;
  pause(isPaused: boolean): void;
}

/** A transfer that this end began, and how an attempt at it is made. */
export interface Undertaking {
  readonly transfer: Transfer;
  readonly meter: TransferMeter;
  /** Whether it is bound to one version of the source: a change is then the end of it. */
  readonly isPinned: boolean;
  readonly attempt: (channel: Channel, epoch: number) => Attempt;
  /** What is left to do once an attempt is done. */
  readonly afterwards?: () => Promise<void>;
}

/** What {@linkcode Attempts} go by. */
export interface AttemptsOptions {
  readonly dialler: Dialler<Channel>;
  readonly retry: RetryPolicy;
  /** Whether a lost link can be replaced. */
  readonly canReplace: boolean;
  readonly random: () => number;
}

/** The attempts at a peer's transfers: makes them, one after another, until one succeeds or none may follow. */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #current = new Map<Transfer, Attempt>();

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /** The attempt that is under way. */
  of(transfer: Transfer): Attempt | undefined {
    return this.#current.get(transfer);
  }

  /** Follows the only attempt at a transfer that the other end began. */
  follow(transfer: Transfer, attempt: Attempt): void {
    this.#current.set(transfer, attempt);
    attempt.done
      .then(
        () => transfer.complete(attempt.root, attempt.verified),
        (error) => settle(transfer, error),
      )
      .finally(() => this.#current.delete(transfer));
  }

  /** Makes attempts at a transfer of this end to its end. */
  async drive({ transfer, meter, isPinned, attempt, afterwards }: Undertaking): Promise<void> {
    let failures = 0;
    let verifiedBytes = 0;
    const stop = new AbortController();
    const { signal } = stop;
    transfer.done.catch((reason) => stop.abort(reason));
    for (let epoch = 0; !transfer.isOver; epoch++) {
      try {
        transfer.enter(epoch === 0 ? "connecting" : "retrying");
        const channel = await this.#options.dialler.link(signal);
        if (transfer.isOver) return;
        const current = attempt(channel, epoch);
        this.#current.set(transfer, current);
        if (transfer.isPausedHere) current.pause(true);
        await current.done;
        await afterwards?.();
        transfer.complete(current.root, current.verified);
      } catch (error) {
        transfer.attemptFailed(error);
        // A tensor that keeps changing is no progress, however much of it was verified.
        const isChange = error instanceof IntegrityError;
        if (meter.verifiedBytes > verifiedBytes && !isChange) failures = 0;
        verifiedBytes = meter.verifiedBytes;
        try {
          if (isPinned && isChange) throw error;
          await this.pauseOrThrow(error, ++failures, signal);
          meter.retries++;
          logRetry(transfer, epoch + 1, error);
        } catch (final) {
          settle(transfer, final);
        }
      } finally {
        this.#current.delete(transfer);
      }
    }
  }

  /**
   * Waits before another attempt, or throws what ends them. A lost link's pause is the dialler's.
   *
   * @param failures How many have failed in a row.
   */
  async pauseOrThrow(error: unknown, failures: number, signal?: AbortSignal): Promise<void> {
    const { dialler, retry, canReplace, random } = this.#options;
    const isRetryable = error instanceof HeadraceError && error.retryable;
    if (!isRetryable || !canReplace) throw error;
    if (!dialler.current) return;
    if (!mayRetry(retry, failures)) {
      throw new RetryExhaustedError(
        `Gave up after ${failures} failed attempts in a row: ${error.message}`,
        failures,
        { cause: error, ...(error.address !== undefined && { address: error.address }) },
      );
    }
    await dialler.pause(retryDelayMs(retry, failures, random), signal);
  }
}

/** Ends a transfer, as cancelled when somebody at the other end wanted it so. */
function settle(transfer: Transfer, error: unknown): void {
  const isCancel = error instanceof RemoteError && error.remoteCode === "cancelled";
  transfer.settle(isCancel ? "cancelled" : "failed", error);
}
