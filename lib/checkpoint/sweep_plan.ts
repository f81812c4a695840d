// This module runs in every runtime.
import { type CheckpointLimits, DEFAULT_CHECKPOINT_LIMITS } from "../checkpoint_limits.ts";

/** A checkpoint that nobody has open. */
export interface Abandoned {
  readonly bytes: number;
  /** In milliseconds since 1970. */
  readonly lastUsedMs: number;
}

/** One that is to go, and why. */
export interface Doomed<A extends Abandoned> {
  readonly checkpoint: A;
  readonly over: "age" | "size";
}

/**
 * Which checkpoints have to go, those unused for longest first: all that are too old, then as many
 * as it takes for the rest to be small enough.
 *
 * @param nowMs In milliseconds since 1970; a checkpoint from the future counts as just used.
 */
export function planSweep<A extends Abandoned>(
  abandoned: readonly A[],
  limits: Partial<CheckpointLimits>,
  nowMs: number,
): Doomed<A>[] {
  const { maxAgeMs, maxBytes } = { ...DEFAULT_CHECKPOINT_LIMITS, ...limits };
  const oldestFirst = abandoned.toSorted((a, b) => a.lastUsedMs - b.lastUsedMs);
  let bytes = abandoned.reduce((sum, checkpoint) => sum + checkpoint.bytes, 0);
  const doomed: Doomed<A>[] = [];
  for (const checkpoint of oldestFirst) {
    const ageMs = Math.max(0, nowMs - checkpoint.lastUsedMs);
    const isTooOld = maxAgeMs !== "unlimited" && ageMs >= maxAgeMs;
    const isTooMuch = maxBytes === 0 || (maxBytes !== "unlimited" && bytes > maxBytes);
    if (!isTooOld && !isTooMuch) break;
    doomed.push({ checkpoint, over: isTooOld ? "age" : "size" });
    bytes -= checkpoint.bytes;
  }
  return doomed;
}
