import { assert } from "chai";
import { readChunkHead, writeChunkFront } from "../../lib/wire/chunk_head.ts";
import {
  CHUNK_HEAD_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  frameName,
  readFrameHeader,
} from "../../lib/wire/frame_header.ts";
import { decodePreamble, encodePreamble } from "../../lib/wire/preamble.ts";
import type { Suite } from "../harness.ts";
import { toHex } from "../hex.ts";
import { decodeFrame, encodeFrame } from "./frame_values.ts";
import { allFrames, vectors } from "./vectors.ts";

const DATA_AT = FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES;

/** The frame is what the value makes, and is read as the value. */
function assertSame(
  {
    kind,
    flags,
    stream,
  }: { readonly kind: string; readonly flags: number; readonly stream: number },
  value: unknown,
  bytes: Uint8Array,
): void {
  const type = FRAME[kind as keyof typeof FRAME];
  assert.equal(toHex(encodeFrame({ type, flags, stream }, value)), toHex(bytes), kind);
  const header = readFrameHeader(bytes);
  const payloadBytes = bytes.byteLength - FRAME_HEADER_BYTES;
  assert.deepEqual(header, { type, flags, stream, payloadBytes }, kind);
  assert.deepEqual(decodeFrame(header, bytes.subarray(FRAME_HEADER_BYTES)), value, kind);
}

export const goldenVectorsSuite: Suite = ({ test }) => {
  test("wire: preambles have the golden bytes and are read back", () => {
    for (const { bytes, ...range } of vectors.preambles) {
      assert.equal(toHex(encodePreamble(range)), toHex(bytes));
      assert.deepEqual(decodePreamble(bytes), range);
    }
  });

  test("wire: every control message has the golden bytes and is read back", () => {
    for (const { kind, stream, message, bytes } of vectors.control) {
      assertSame({ kind, flags: 0, stream }, message, bytes);
    }
  });

  test("wire: every binary frame has the golden bytes and is read back", () => {
    for (const vector of vectors.binary) assertSame(vector, vector.value, vector.bytes);
  });

  test("wire: tensors in one frame have the golden bytes and are read back", () => {
    for (const { stream, tensor, bytes } of vectors.tensors) {
      const absent = { digest: undefined, push: undefined };
      assertSame({ kind: "tensor", flags: 0, stream }, { ...absent, ...tensor }, bytes);
    }
  });

  test("wire: there is a golden frame of every type", () => {
    const names = new Set(allFrames.map((frame) => frameName(frame[0] as number)));
    assert.includeMembers([...names], Object.keys(FRAME));
  });

  test("wire: chunks have the golden bytes, fragment by fragment, and are read back", () => {
    for (const { stream, flags, data, frames } of vectors.chunks) {
      for (const { head, bytes } of frames) {
        const end = head.fragmentOffset + bytes.byteLength - DATA_AT;
        const part = data.subarray(head.fragmentOffset, end);
        const frame = new Uint8Array(DATA_AT + part.byteLength);
        writeChunkFront(frame, stream, head, part.byteLength, flags);
        frame.set(part, DATA_AT);
        assert.equal(toHex(frame), toHex(bytes));
        assert.deepInclude(readFrameHeader(bytes), { type: FRAME.chunk, flags, stream });
        const front = bytes.subarray(FRAME_HEADER_BYTES, DATA_AT);
        assert.deepEqual(readChunkHead(front, part.byteLength), head);
      }
    }
  });
};
