// This module runs in every runtime.

/** The unit of identity, have-bitmap, journal, re-fetch and proof. Fixed for ever. */
export const LEAF_BYTES: number = 1024 * 1024;

/** How many leaves a tensor of this length has. */
export function leafCount(byteLength: number): number {
  return Math.ceil(byteLength / LEAF_BYTES);
}

/** How many bytes the leaf has; only the last may be short. */
export function leafLength(index: number, byteLength: number): number {
  return Math.min(LEAF_BYTES, byteLength - index * LEAF_BYTES);
}
