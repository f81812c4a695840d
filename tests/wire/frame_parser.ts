import { assert } from "chai";
import fc from "fast-check";
import { HeadraceError, ProtocolError, TransportError } from "../../lib/errors.ts";
import { DEFAULT_LIMITS } from "../../lib/limits.ts";
import { writeChunkFront } from "../../lib/wire/chunk_head.ts";
import {
  CHUNK_HEAD_BYTES,
  FIRST_SKIPPABLE_TYPE,
  FLAG_AGAIN,
  FLAG_LAST,
  FLAG_QUERY,
  FRAME,
  FRAME_HEADER_BYTES,
  MAX_TENSOR_DATA_BYTES,
  MAX_TENSOR_HEAD_BYTES,
  writeFrameHeader,
} from "../../lib/wire/frame_header.ts";
import { FrameParser } from "../../lib/wire/frame_parser.ts";
import { commonVersion, encodePreamble } from "../../lib/wire/preamble.ts";
import { costExponent, countWork, totalWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { readFrames, slicesOf } from "./read_frames.ts";
import { allFrames, concat, vectors } from "./vectors.ts";

const DATA_AT = FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES;
/** Where a TENSOR frame says how long its head is. */
const TENSOR_HEAD_AT = FRAME_HEADER_BYTES + 4;
const recording = concat([encodePreamble(), ...allFrames]);
const whole = (bytes: Uint8Array) => readFrames([bytes]);

function headerOf(type: number, payloadBytes: number, flags = 0, stream = 1): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  writeFrameHeader(bytes, { type, flags, stream, payloadBytes });
  return bytes;
}

const headOf = (over: object, dataBytes = 100): Uint8Array => {
  const head = {
    byteOffset: 0,
    rawBytes: 100,
    encodedBytes: 100,
    fragmentOffset: 0,
    checksum: 0,
    codec: 0,
  };
  const frame = new Uint8Array(DATA_AT + dataBytes);
  writeChunkFront(frame, 1, { ...head, ...over }, dataBytes);
  return frame;
};

/** Where that part of a frame ends that has checks of its own. */
function checkedEnd(frame: Uint8Array): number {
  const type = frame[0] as number;
  if (type === FRAME.chunk) return DATA_AT;
  if (type >= FIRST_SKIPPABLE_TYPE) return FRAME_HEADER_BYTES;
  if (type !== FRAME.tensor) return frame.byteLength;
  const headBytes = new DataView(frame.buffer, frame.byteOffset).getUint32(TENSOR_HEAD_AT, true);
  return FRAME_HEADER_BYTES + headBytes;
}

export const frameParserSuite: Suite = ({ test }) => {
  test("parser: any slicing reads the same, single bytes included", () => {
    const options = { expectPreamble: true };
    const expected = readFrames([recording], options);
    assert.isAbove(expected.length, allFrames.length);
    assert.deepEqual(readFrames(slicesOf(recording, [1]), options), expected);
    const lengths = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lengths, (some) => {
        assert.deepEqual(readFrames(slicesOf(recording, some), options), expected);
      }),
    );
  });

  test("parser: every truncation of every golden frame is a broken link", () => {
    for (const frame of allFrames) {
      for (let length = 1; length < frame.byteLength; length++) {
        assert.throws(() => whole(frame.subarray(0, length)), TransportError, /ended inside/);
      }
    }
    for (let length = 0; length < 8; length++) {
      const part = encodePreamble().subarray(0, length);
      const read = () => readFrames([part], { expectPreamble: true });
      assert.throws(read, TransportError, /before the peer said/);
    }
  });

  test("parser: every single bit turned in every golden frame is caught, but in data and skipped bytes", () => {
    // XXH32 takes in its input word by word through steps that can be undone, so that a change of
    // one word always changes the sum. A header, a head before data and a payload have one each; the
    // data has its own, over the bytes before compression; what is skipped is nobody's concern.
    for (const frame of allFrames) {
      const end = checkedEnd(frame);
      for (let bit = 0; bit < end * 8; bit++) {
        const bent = frame.slice();
        bent[bit >> 3] = (bent[bit >> 3] as number) ^ (1 << (bit & 7));
        assert.throws(() => whole(bent), TransportError, /check/, `bit ${bit}`);
      }
    }
  });

  test("parser: a preamble that is not one is refused at its first wrong byte", () => {
    const read = (bytes: Uint8Array) => () => readFrames([bytes], { expectPreamble: true });
    assert.throws(read(new TextEncoder().encode("GET / HTTP/1.1\r\n")), ProtocolError, /47 45/);
    assert.throws(read(Uint8Array.of(0x68, 0x65)), ProtocolError, /68 65/);
    assert.deepEqual(read(encodePreamble({ lowest: 0, highest: 9 }))(), [
      { lowest: 0, highest: 9 },
    ]);
  });

  test("preamble: the highest common version is used, none in common is an error", () => {
    const range = (lowest: number, highest: number) => ({ lowest, highest });
    assert.equal(commonVersion(range(0, 3), range(2, 5)), 3);
    assert.equal(commonVersion(range(2, 5), range(0, 3)), 3);
    assert.throws(() => commonVersion(range(0, 1), range(2, 5)), ProtocolError, /0 to 1.*2 to 5/);
  });

  test("parser: nothing is taken in for a length over its cap", async () => {
    const { maxControlBytes, maxPageBytes, maxChunkBytes } = DEFAULT_LIMITS;
    const cases: [type: number, most: number][] = [
      [FRAME.offer, maxControlBytes],
      [FRAME.have, maxPageBytes],
      [0x80, maxPageBytes],
      [FRAME.requests, maxPageBytes],
      [FRAME.lane, maxControlBytes],
      [FRAME.tensor, MAX_TENSOR_HEAD_BYTES + MAX_TENSOR_DATA_BYTES],
      [FRAME.chunk, CHUNK_HEAD_BYTES + maxChunkBytes],
    ];
    for (const [type, most] of cases) {
      const parser = () =>
        new FrameParser({ frame() {}, chunk() {}, chunkData() {} }, undefined, false);
      parser().push(headerOf(type, most, 0, type === FRAME.lane ? 0 : 1));
      for (const over of [most + 1, 0xffffffff]) {
        const header = headerOf(type, over, 0, type === FRAME.lane ? 0 : 1);
        const work = await countWork(() => {
          assert.throws(() => parser().push(header), ProtocolError, `at most ${most}`);
        });
        assert.isBelow(work.allocatedBytes, 200);
      }
    }
  });

  test("parser: keeps no more than one capped payload, whatever is announced", async () => {
    const header = headerOf(FRAME.have, DEFAULT_LIMITS.maxPageBytes);
    const chunk = headOf({ rawBytes: 2 ** 26, encodedBytes: 2 ** 26 }, 2 ** 20);
    const work = await countWork(() => {
      const handler = { frame() {}, chunk() {}, chunkData() {} };
      const parser = new FrameParser(handler, undefined, false);
      for (const slice of slicesOf(chunk, [1000])) parser.push(slice);
      parser.push(header);
      for (let n = 0; n < 60_000; n++) parser.push(chunk.subarray(n, n + 1));
    });
    assert.isBelow(work.allocatedBytes, DEFAULT_LIMITS.maxPageBytes + 1000);
  });

  test("parser: payloads that come in pieces are put together in the same memory, one after another", () => {
    const frame = concat([headerOf(FRAME.tensor, 60_000), new Uint8Array(60_000).fill(3)]);
    const buffers: ArrayBufferLike[] = [];
    const parser = new FrameParser(
      {
        frame: (_header, payload) => {
          assert.equal(payload.byteLength, 60_000);
          buffers.push(payload.buffer);
        },
        chunk: () => {},
        chunkData: () => {},
      },
      DEFAULT_LIMITS,
      false,
    );
    for (let n = 0; n < 5; n++) for (const bytes of slicesOf(frame, [7_000])) parser.push(bytes);
    assert.equal(buffers.length, 5);
    assert.equal(new Set(buffers).size, 1);
  });

  test("parser: types, flags and streams that cannot be are refused", () => {
    for (const type of [0, 0x06, 0x0f, 0x29, 0x2f, 0x31, 0x7f]) {
      assert.throws(() => whole(headerOf(type, 0)), ProtocolError, /unknown type/);
    }
    const flagsOf: Partial<Record<number, number>> = {
      [FRAME.have]: FLAG_LAST | FLAG_QUERY,
      [FRAME.digests]: FLAG_LAST | FLAG_QUERY,
      [FRAME.listing]: FLAG_LAST,
      [FRAME.chunk]: FLAG_AGAIN,
    };
    const ofConnection = ["hello", "goodbye", "ping", "pong", "receipts", "lane"];
    for (const [name, type] of Object.entries(FRAME)) {
      const isOfConnection = ofConnection.includes(name);
      const stream = isOfConnection ? 0 : 1;
      for (let flags = 1; flags < 256; flags++) {
        const isKnown = (flags & ~(flagsOf[type] ?? 0)) === 0;
        const refusal = /set reserved bits/;
        const read = () => whole(headerOf(type, 100, flags, stream));
        if (isKnown) assert.throws(read, TransportError, "ended inside");
        else assert.throws(read, ProtocolError, refusal, `${name} ${flags}`);
      }
      if (name === "error" || name === "credit") continue;
      const misplaced = () => whole(headerOf(type, 100, 0, isOfConnection ? 1 : 0));
      assert.throws(misplaced, ProtocolError, isOfConnection ? "on stream 1" : "on stream 0");
    }
    for (const type of [FRAME.accept, FRAME.have, FRAME.chunk, FRAME.tensor, FRAME.requests]) {
      assert.throws(() => whole(headerOf(type, 0)), ProtocolError);
    }
  });

  test("parser: what may be skipped is skipped, flags and all", () => {
    const accept = vectors.control.find(({ kind }) => kind === "accept")?.bytes as Uint8Array;
    const bytes = concat([vectors.skippable, accept, headerOf(0xff, 0, 0, 0), accept]);
    assert.equal(readFrames(slicesOf(bytes, [1])).length, 2);
  });

  test("chunk head: numbers that contradict each other or pass a limit are refused", () => {
    const most = DEFAULT_LIMITS.maxChunkBytes;
    whole(headOf({ byteOffset: 2 ** 53 - 101 }));
    whole(headOf({ rawBytes: 101, codec: 1 }));
    const wrong: [over: object, dataBytes?: number][] = [
      [{ byteOffset: 2 ** 53 - 100 }],
      [{ rawBytes: 0, encodedBytes: 0 }],
      [{ rawBytes: most + 1, encodedBytes: most + 1 }],
      [{ rawBytes: 101 }],
      [{ encodedBytes: 101 }],
      [{ codec: 1 }],
      [{ codec: 1, rawBytes: 99 }],
      [{ codec: 1, encodedBytes: 0 }],
      [{ fragmentOffset: 1 }],
      [{ fragmentOffset: 0xffffffff }],
      [{}, 101],
    ];
    for (const [over, dataBytes] of wrong) {
      const read = () => whole(headOf(over, dataBytes));
      assert.throws(read, ProtocolError, "that cannot be", JSON.stringify(over));
    }
  });

  test("parser: cost is linear in bytes and in slices", async () => {
    const some = concat(Array.from({ length: 4 }, () => concat(allFrames)));
    const cost = async (bytes: Uint8Array, sliceBytes: number) =>
      totalWork(await countWork(() => void readFrames(slicesOf(bytes, [sliceBytes]))));
    const counts = [2, 4, 8, 16];
    const repeat = (n: number) => concat(Array.from({ length: n }, () => some));
    assert.isBelow(await costExponent((n) => cost(repeat(n), 100), counts), 1.15, "bytes");
    const bySlices = (n: number) => cost(some, Math.ceil(some.byteLength / n));
    assert.isBelow(await costExponent(bySlices, [100, 400, 1600, 6400]), 1.15, "slices");
    const page = concat([headerOf(FRAME.have, 60_000), new Uint8Array(60_000)]);
    const onePage = async (n: number) => {
      const parser = new FrameParser({ frame() {}, chunk() {}, chunkData() {} }, undefined, false);
      const slices = [...slicesOf(page, [Math.ceil(page.byteLength / n)])];
      const work = await countWork(() => {
        for (const slice of slices) parser.push(slice);
      });
      return totalWork(work);
    };
    assert.isBelow(await costExponent(onePage, [100, 400, 1600, 6400]), 1.15, "one payload");
  });

  test("parser: random bytes end in a typed error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        assert.throws(() => whole(bytes), HeadraceError);
      }),
      { numRuns: 1000 },
    );
  });
};
