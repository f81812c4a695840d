// This module runs in every runtime.

/** When and how often a failed dial is tried again. */
export interface RetryPolicy {
  /** Consecutive failures that are forgiven; a newly verified leaf starts the count anew. */
  readonly maxRetries: number | "unlimited";
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  readonly backoffFactor: number;
  /** The share by which a delay is lengthened or shortened at random, 0 to 1. */
  readonly jitterFactor: number;
}

/** The policy in force where nothing else is said. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  maxRetries: 3,
  baseDelayMs: 500,
  maxDelayMs: 5_000,
  backoffFactor: 2,
  jitterFactor: 0.1,
};

/** Whether another attempt may follow the `failures`-th failure in a row. */
export function mayRetry(policy: RetryPolicy, failures: number): boolean {
  return policy.maxRetries === "unlimited" || failures <= policy.maxRetries;
}

/**
 * The pause before the attempt that follows the `failures`-th failure in a row:
 * min(max, base x factor^(failures - 1)) x (1 ± jitter).
 *
 * @param random Gives a number from 0 to 1, 1 excluded.
 *
 * @example
 * ```ts
 * import { DEFAULT_RETRY_POLICY, retryDelayMs } from "headrace";
 *
 * retryDelayMs(DEFAULT_RETRY_POLICY, 2, () => 0.5); // 1000
 * ```
 */
export function retryDelayMs(
  policy: RetryPolicy,
  failures: number,
  random: () => number = Math.random,
): number {
  const delayMs = Math.min(
    policy.maxDelayMs,
    policy.baseDelayMs * policy.backoffFactor ** (failures - 1),
  );
  return delayMs * (1 + policy.jitterFactor * (2 * random() - 1));
}
