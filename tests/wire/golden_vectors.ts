import { assert } from "chai";
import { readChunkHead, writeChunkFront } from "../../lib/wire/chunk_head.ts";
import {
  decodeChecked,
  decodeMessage,
  encodeChecked,
  encodeMessage,
} from "../../lib/wire/control.ts";
import {
  CHUNK_HEAD_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameType,
  readFrameHeader,
} from "../../lib/wire/frame_header.ts";
import { decodeListing, encodeListingEntry } from "../../lib/wire/listing.ts";
import {
  decodeBitmapPage,
  decodeDigestPage,
  decodeNumber,
  decodeRanges,
  encodeBitmapPage,
  encodeDigestPage,
  encodeNumber,
  encodeRanges,
} from "../../lib/wire/pages.ts";
import { decodePreamble, encodePreamble } from "../../lib/wire/preamble.ts";
import type { Suite } from "../harness.ts";
import { toHex } from "../hex.ts";
import { type BinaryVector, concat, vectors } from "./vectors.ts";

const LEAF_TOTAL = 2 ** 40;
const DATA_AT = FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES;

function encodeBody({ kind, value }: BinaryVector): Uint8Array {
  if (kind === "have") return encodeBitmapPage(value);
  if (kind === "digests") return encodeDigestPage(value);
  if (kind === "listing") return concat(value.entries.map(encodeListingEntry));
  return value.ranges ? encodeRanges(value.ranges) : encodeNumber(value.number);
}

function decodeBody(kind: string, body: Uint8Array): unknown {
  if (kind === "have") return decodeBitmapPage(body);
  if (kind === "digests") return decodeDigestPage(body);
  if (kind === "listing") return { entries: decodeListing(body) };
  if (kind === "refetch" || kind === "ack") return { ranges: decodeRanges(body, LEAF_TOTAL) };
  return { number: decodeNumber(body) };
}

export const goldenVectorsSuite: Suite = ({ test }) => {
  test("wire: preambles have the golden bytes and are read back", () => {
    for (const { bytes, ...range } of vectors.preambles) {
      assert.equal(toHex(encodePreamble(range)), toHex(bytes));
      assert.deepEqual(decodePreamble(bytes), range);
    }
  });

  test("wire: every control message has the golden bytes and is read back", () => {
    const kinds = new Set<string>();
    for (const { kind, stream, message, bytes } of vectors.control) {
      assert.equal(toHex(encodeMessage(kind, stream, message)), toHex(bytes), kind);
      const header = readFrameHeader(bytes);
      assert.deepInclude(header, { type: FRAME[kind], flags: 0, stream });
      assert.equal(header.payloadBytes, bytes.byteLength - FRAME_HEADER_BYTES);
      assert.deepEqual(decodeMessage(kind, header, bytes.subarray(FRAME_HEADER_BYTES)), message);
      kinds.add(kind);
    }
    assert.equal(kinds.size, 11, "a vector for every kind of control message");
  });

  test("wire: every binary frame has the golden bytes and is read back", () => {
    for (const vector of vectors.binary) {
      const { kind, flags, stream, value, bytes } = vector;
      const type = FRAME[kind as keyof typeof FRAME] as FrameType;
      const frame = encodeChecked(type, stream, encodeBody(vector), flags);
      assert.equal(toHex(frame), toHex(bytes), kind);
      const header = readFrameHeader(bytes);
      assert.deepInclude(header, { type, flags, stream });
      const body = decodeChecked(header, bytes.subarray(FRAME_HEADER_BYTES));
      assert.deepEqual(decodeBody(kind, body), value, kind);
    }
  });

  test("wire: chunks have the golden bytes, fragment by fragment, and are read back", () => {
    for (const { stream, data, frames } of vectors.chunks) {
      for (const { head, bytes } of frames) {
        const end = head.fragmentOffset + bytes.byteLength - DATA_AT;
        const part = data.subarray(head.fragmentOffset, end);
        const frame = new Uint8Array(DATA_AT + part.byteLength);
        writeChunkFront(frame, stream, head, part.byteLength);
        frame.set(part, DATA_AT);
        assert.equal(toHex(frame), toHex(bytes));
        assert.deepInclude(readFrameHeader(bytes), { type: FRAME.chunk, flags: 0, stream });
        const front = bytes.subarray(FRAME_HEADER_BYTES, DATA_AT);
        assert.deepEqual(readChunkHead(front, part.byteLength), head);
      }
    }
  });
};
