// This module runs in every runtime.
import { sleep } from "../clock.ts";
import { HeadraceError, IntegrityError, RetryExhaustedError } from "../errors.ts";
import { mayRetry, retryDelayMs } from "../retry.ts";
import type { HttpSetup } from "./options.ts";
import { BusyError } from "./status_errors.ts";

/** What {@linkcode retrying} goes by. */
export interface RetryCare {
  readonly signal?: AbortSignal | undefined;
  /** Grows when something was verified, which starts the count of failures anew. */
  readonly progress?: () => number;
  /** Whether a source that changed ends it, rather than being begun again. */
  readonly isPinned?: boolean;
  readonly onRetry?: () => void;
}

/**
 * Runs an attempt again and again until it succeeds or the retry policy ends it.
 *
 * @throws {RetryExhaustedError} with the last failure as its cause.
 */
export async function retrying<T>(
  { retry, clock, random }: HttpSetup,
  attempt: () => Promise<T>,
  care: RetryCare = {},
): Promise<T> {
  const { signal, progress = () => 0, isPinned = false, onRetry } = care;
  let failures = 0;
  let before = progress();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (!(error instanceof HeadraceError) || !error.retryable) throw error;
      const isChange = error instanceof IntegrityError && error.where === "source";
      if (isChange && isPinned) throw error;
      // A tensor that keeps changing is no progress, however much of it was verified.
      if (progress() > before && !isChange) failures = 0;
      before = progress();
      if (!mayRetry(retry, ++failures)) {
        throw new RetryExhaustedError(
          `Gave up after ${failures} failed attempts in a row: ${error.message}`,
          failures,
          { cause: error, ...(error.address !== undefined && { address: error.address }) },
        );
      }
      onRetry?.();
      const askedMs = error instanceof BusyError ? error.retryAfterMs : 0;
      await sleep(clock, Math.max(askedMs, retryDelayMs(retry, failures, random)), signal);
    }
  }
}
