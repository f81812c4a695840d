// This module runs in every runtime.
import type { RetryPolicy } from "../retry.ts";
import type { TensorPeerOptions } from "../session/peer_options.ts";

/** Options of the older protocol's classes: those of the peer underneath. */
export interface ProtocolOptions extends Omit<TensorPeerOptions, "sinks" | "onTransfer"> {
  /**
   * Pushed bytes that may wait for the program, default 64 MiB; what is beyond moves only while it
   * is read.
   */
  readonly maxWaitingBytes?: number;
}

/** The older protocol's names for priorities. */
export const PRIORITY = { low: 0, normal: 50, high: 100, critical: 200 } as const;

/** The older protocol's retry policy: delays in milliseconds. */
export interface RetryPolicyInMs {
  readonly maxRetries?: number | "unlimited";
  readonly baseDelay?: number;
  readonly maxDelay?: number;
  readonly backoffFactor?: number;
  readonly jitterFactor?: number;
}

/** The same policy as a peer takes it. */
export function retryOptions(policy: RetryPolicyInMs): Partial<RetryPolicy> {
  const { maxRetries, baseDelay, maxDelay, backoffFactor, jitterFactor } = policy;
  return {
    ...(maxRetries !== undefined && { maxRetries }),
    ...(baseDelay !== undefined && { baseDelayMs: baseDelay }),
    ...(maxDelay !== undefined && { maxDelayMs: maxDelay }),
    ...(backoffFactor !== undefined && { backoffFactor }),
    ...(jitterFactor !== undefined && { jitterFactor }),
  };
}
