// This module runs in every runtime.
import type { LeafBitmap } from "../tensor/bitmap.ts";
import { encodeChecked } from "../wire/control.ts";
import { FLAG_LAST, FLAG_QUERY, FRAME } from "../wire/frame_header.ts";
import { encodeBitmapPage } from "../wire/pages.ts";

const PAGE_BYTES = 32 * 1024;

/** The HAVE frames of a bitmap, a page each; `isQuery` asks for the digests of its leaves. */
export function* haveFrames(
  stream: number,
  bitmap: LeafBitmap,
  isQuery: boolean,
): Generator<Uint8Array> {
  const bytes = bitmap.toBytes();
  // A tensor without leaves has one page too, or nobody would answer.
  for (let at = 0; at === 0 || at < bytes.byteLength; at += PAGE_BYTES) {
    const bits = bytes.subarray(at, at + PAGE_BYTES);
    const isLast = at + PAGE_BYTES >= bytes.byteLength;
    const flags = (isLast ? FLAG_LAST : 0) | (isQuery ? FLAG_QUERY : 0);
    yield encodeChecked(FRAME.have, stream, encodeBitmapPage({ firstLeaf: at * 8, bits }), flags);
  }
}
