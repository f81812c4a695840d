// This module runs in every runtime.
import type { LeafBitmap, LeafRange } from "../tensor/bitmap.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";

/** Bytes of the leaves that are here. */
export function heldBytes(have: LeafBitmap, byteLength: number): number {
  let missing = 0;
  for (const { first, count } of have.missingRanges()) {
    missing += Math.min((first + count) * LEAF_BYTES, byteLength) - first * LEAF_BYTES;
  }
  return byteLength - missing;
}

/** The runs of leaves that are here. */
export function haveRanges(have: LeafBitmap): LeafRange[] {
  const ranges: LeafRange[] = [];
  let at = 0;
  for (const { first, count } of have.missingRanges()) {
    if (first > at) ranges.push({ first: at, count: first - at });
    at = first + count;
  }
  if (at < have.leafTotal) ranges.push({ first: at, count: have.leafTotal - at });
  return ranges;
}
