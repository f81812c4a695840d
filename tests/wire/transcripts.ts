import { assert } from "chai";
import { readChunkHead, writeChunkFront } from "../../lib/wire/chunk_head.ts";
import {
  CHUNK_HEAD_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  readFrameHeader,
} from "../../lib/wire/frame_header.ts";
import {
  commonVersion,
  decodePreamble,
  encodePreamble,
  PREAMBLE_BYTES,
} from "../../lib/wire/preamble.ts";
import type { Suite } from "../harness.ts";
import { toHex } from "../hex.ts";
import { sameBytes } from "../streams/support.ts";
import { decodeFrame, encodeFrame } from "./frame_values.ts";
import { readFrames, slicesOf } from "./read_frames.ts";
import { type End, transcripts } from "./transcript_vectors.ts";
import { concat } from "./vectors.ts";

const DATA_AT = FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES;

/** A frame, read and written again. */
function again(frame: Uint8Array): Uint8Array {
  const header = readFrameHeader(frame);
  assert.equal(header.payloadBytes, frame.byteLength - FRAME_HEADER_BYTES);
  if (header.type !== FRAME.chunk) {
    return encodeFrame(header, decodeFrame(header, frame.subarray(FRAME_HEADER_BYTES)));
  }
  const data = frame.subarray(DATA_AT);
  const head = readChunkHead(frame.subarray(FRAME_HEADER_BYTES, DATA_AT), data.byteLength);
  const front = new Uint8Array(DATA_AT);
  writeChunkFront(front, header.stream, head, data.byteLength, header.flags);
  return concat([front, data]);
}

export const wireTranscriptsSuite: Suite = ({ test }) => {
  for (const [name, connections] of Object.entries(transcripts)) {
    test(`transcript: every frame of ${name} is read, and written again as it was`, () => {
      for (const steps of connections) {
        for (const end of ["dialler", "accepter"] satisfies End[]) {
          const [preamble, ...frames] = steps
            .filter(({ from }) => from === end)
            .map(({ bytes }) => bytes) as [Uint8Array, ...Uint8Array[]];
          assert.equal(preamble.byteLength, PREAMBLE_BYTES);
          const range = decodePreamble(preamble);
          assert.equal(toHex(encodePreamble(range)), toHex(preamble));
          assert.equal(commonVersion(range, { lowest: 1, highest: 1 }), 1);
          for (const frame of frames) {
            const written = again(frame);
            if (!sameBytes(written, frame)) assert.equal(toHex(written), toHex(frame));
          }
          const whole = concat([preamble, ...frames]);
          const found = readFrames(slicesOf(whole, [1000, 7]), { expectPreamble: true });
          assert.isAtLeast(found.length, frames.length + 1);
        }
      }
    });
  }
};
