// This module runs in every runtime.
import type { Limits } from "../limits.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { readChunkHead } from "../wire/chunk_head.ts";
import { decodeChecked } from "../wire/control.ts";
import {
  CHUNK_HEAD_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameName,
} from "../wire/frame_header.ts";
import { decodeDigestPage } from "../wire/pages.ts";

/** A frame that may have to be sent again, and the leaves it carries a part of. */
export interface ReplayEntry {
  readonly frame: Uint8Array;
  readonly firstLeaf: number;
  readonly lastLeaf: number;
  /** Where its chunk ends in the tensor; 0 for a frame that needs no credit. */
  readonly endOffset: number;
  /** The credit of the connection that it uses: with a chunk's first fragment, all of that. */
  readonly creditBytes: number;
  /** The codec's number in the offer; 0 for none. */
  readonly codec: number;
  /** All bytes of its chunk on the wire. */
  readonly chunkBytes: number;
  /** Whether other chunks may follow it: it is no fragment in the midst of one. */
  readonly endsChunk: boolean;
  /** Whether its last leaf is whole with it. */
  readonly endsLeaf: boolean;
}

/**
 * What a frame between OFFER and COMPLETE carries.
 *
 * @param byteLength The tensor's length.
 * @throws {TypeError} for a frame that cannot stand there.
 */
export function replayEntryOf(
  frame: Uint8Array,
  header: FrameHeader,
  byteLength: number,
  limits: Limits,
): ReplayEntry {
  const payload = frame.subarray(FRAME_HEADER_BYTES);
  if (header.type === FRAME.digests) {
    const { firstLeaf, digests } = decodeDigestPage(decodeChecked(header, payload));
    const lastLeaf = firstLeaf + Math.max(1, digests.length) - 1;
    const ends = {
      endOffset: 0,
      creditBytes: 0,
      codec: 0,
      chunkBytes: 0,
      endsChunk: true,
      endsLeaf: false,
    };
    return { frame, firstLeaf, lastLeaf, ...ends };
  }
  if (header.type !== FRAME.chunk) {
    throw new TypeError(`A ${frameName(header.type)} frame cannot come here in a transfer`);
  }
  const dataBytes = header.payloadBytes - CHUNK_HEAD_BYTES;
  const head = readChunkHead(payload.subarray(0, CHUNK_HEAD_BYTES), dataBytes, limits);
  const endOffset = head.byteOffset + head.rawBytes;
  const endsChunk = head.fragmentOffset + dataBytes === head.encodedBytes;
  return {
    frame,
    firstLeaf: Math.floor(head.byteOffset / LEAF_BYTES),
    lastLeaf: Math.floor((endOffset - 1) / LEAF_BYTES),
    endOffset,
    creditBytes: head.fragmentOffset === 0 ? head.rawBytes : 0,
    codec: head.codec,
    chunkBytes: head.encodedBytes,
    endsChunk,
    endsLeaf: endsChunk && (endOffset % LEAF_BYTES === 0 || endOffset === byteLength),
  };
}
