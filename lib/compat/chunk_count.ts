// This module runs in every runtime.
import { LEAF_BYTES } from "../tensor/leaf.ts";

/** How many chunks a tensor is cut into: anew at each leaf, or a whole number of leaves each. */
export function chunkCount(byteLength: number, chunkBytes: number): number {
  if (chunkBytes >= LEAF_BYTES) {
    return Math.ceil(byteLength / (chunkBytes - (chunkBytes % LEAF_BYTES)));
  }
  const restBytes = byteLength % LEAF_BYTES;
  const leaves = (byteLength - restBytes) / LEAF_BYTES;
  return leaves * Math.ceil(LEAF_BYTES / chunkBytes) + Math.ceil(restBytes / chunkBytes);
}
