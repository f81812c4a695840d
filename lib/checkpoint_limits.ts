// This module runs in every runtime.

/** What abandoned checkpoints may come to before they are swept; those in use do not count. */
export interface CheckpointLimits {
  /** How long ago, in milliseconds, one may have been written to last; 0 keeps none. */
  readonly maxAgeMs: number | "unlimited";
  /** What all of them together may take; the oldest go first, and 0 keeps none. */
  readonly maxBytes: number | "unlimited";
}

/**
 * The limits in force where nothing else is said. Two weeks outlast a holiday; a TiB is more than
 * the largest models take, so that an interrupted one is not the victim of the next.
 */
export const DEFAULT_CHECKPOINT_LIMITS: CheckpointLimits = {
  maxAgeMs: 14 * 24 * 60 * 60 * 1000,
  maxBytes: 1024 ** 4,
};
