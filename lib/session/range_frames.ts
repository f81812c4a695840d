// This module runs in every runtime.
import type { LeafRange } from "../tensor/bitmap.ts";
import { encodeChecked } from "../wire/control.ts";
import { FRAME } from "../wire/frame_header.ts";
import { encodeRanges } from "../wire/pages.ts";

const PAGE_RANGES = 2048;

/** The ACK or REFETCH frames of some leaves, a page each. */
export function* rangeFrames(
  kind: "ack" | "refetch",
  stream: number,
  ranges: readonly LeafRange[],
): Generator<Uint8Array> {
  for (let at = 0; at < ranges.length; at += PAGE_RANGES) {
    const page = ranges.slice(at, at + PAGE_RANGES);
    yield encodeChecked(FRAME[kind], stream, encodeRanges(page));
  }
}

/** Leaves, in ascending order, as few ranges. */
export function rangesOf(leaves: Iterable<number>): LeafRange[] {
  const ranges: { first: number; count: number }[] = [];
  for (const leaf of leaves) {
    const last = ranges.at(-1);
    if (last && last.first + last.count === leaf) last.count++;
    else ranges.push({ first: leaf, count: 1 });
  }
  return ranges;
}
