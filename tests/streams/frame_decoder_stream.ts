import { assert } from "chai";
import fc from "fast-check";
import {
  HeadraceError,
  IntegrityError,
  LimitError,
  NotFoundError,
  ProtocolError,
  TransportError,
} from "../../lib/errors.ts";
import { DEFAULT_LIMITS } from "../../lib/limits.ts";
import { FrameDecoderStream } from "../../lib/streams/frame_decoder_stream.ts";
import type { TensorChunk } from "../../lib/tensor/chunk.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { writeChunkFront } from "../../lib/wire/chunk_head.ts";
import { encodeChecked, encodeMessage } from "../../lib/wire/control.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Offer } from "../../lib/wire/messages.ts";
import { encodeDigestPage } from "../../lib/wire/pages.ts";
import { encodePreamble } from "../../lib/wire/preamble.ts";
import { costExponent, countWork, totalWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { slicesOf } from "../wire/read_frames.ts";
import { concat, type TransferVector, transfers, vectors } from "../wire/vectors.ts";
import { collect, countedSource, sameBytes, turns } from "./support.ts";
import { receive } from "./transfer_pipeline.ts";

const MiB = 1024 * 1024;
const DATA_AT = 48;
const tiny = transfers.at(-1) as TransferVector;

const decode = (slices: Iterable<Uint8Array>): Promise<TensorChunk[]> =>
  collect(countedSource(slices).stream.pipeThrough(new FrameDecoderStream()));

function offerOf(change: Partial<Offer> = {}): Uint8Array {
  const vector = vectors.control.find(({ kind }) => kind === "offer");
  const message = { ...(vector?.message as Offer), codecs: ["deflate"], ...change };
  return encodeMessage("offer", 1, message);
}

/** A chunk frame; its data is zeros. */
function chunkFrame(
  byteOffset: number,
  rawBytes: number,
  dataBytes: number = rawBytes,
  change = {},
) {
  const frame = new Uint8Array(DATA_AT + dataBytes);
  const head = { byteOffset, rawBytes, encodedBytes: rawBytes, fragmentOffset: 0, checksum: 0 };
  writeChunkFront(frame, 1, { ...head, codec: 0, ...change }, dataBytes);
  return frame;
}

const u8 = (byteLength: number) => ({ dtype: "U8", shape: [byteLength], byteLength }) as const;

export const frameDecoderStreamSuite: Suite = ({ test }) => {
  test("frame decoder: golden transfers give the chunks that went in", async () => {
    for (const vector of transfers) {
      const found = await decode(vector.frames);
      assert.equal(found.length, vector.chunks.length);
      for (const [n, chunk] of found.entries()) {
        const expected = vector.chunks[n] as TensorChunk;
        assert.deepEqual({ ...chunk, bytes: null }, { ...expected, bytes: null as never });
        assert.isTrue(sameBytes(chunk.bytes, expected.bytes));
      }
      assert.isTrue(sameBytes(await receive(vector.frames), vector.content));
    }
  });

  test("frame decoder: any slicing gives the same chunks", async () => {
    const [first] = transfers as [TransferVector];
    const bytes = concat(first.frames);
    const expected = await decode([bytes]);
    const lengths = fc.array(
      fc.oneof(fc.integer({ min: 20, max: 5000 }), fc.integer({ min: 1, max: 2 * MiB })),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(lengths, async (some) => {
        // A large one among them: slices of a few bytes all through would be a million.
        const found = await decode(slicesOf(bytes, [...some, 64 * 1024]));
        assert.equal(found.length, expected.length);
        for (const [n, chunk] of found.entries()) {
          assert.isTrue(sameBytes(chunk.bytes, (expected[n] as TensorChunk).bytes));
        }
      }),
      { numRuns: 15 },
    );
    assert.deepEqual(await decode(slicesOf(concat(tiny.frames), [1])), await decode(tiny.frames));
  });

  test("frame decoder: every truncation is a broken link, never a hang or a tensor", async () => {
    const bytes = concat(tiny.frames);
    for (let length = 0; length < bytes.byteLength; length++) {
      await assertRejects(() => receive([bytes.subarray(0, length)]), TransportError, /ended/);
    }
  });

  // What has a check of its own is turned bit by bit in the parser's tests.
  test("frame decoder: a bit turned in any byte, and any bit of the data, is caught or is a deflate stream's spelling", async () => {
    const bytes = concat(tiny.frames);
    const isData: boolean[] = [];
    for (const frame of tiny.frames) {
      const isChunk = frame[0] === FRAME.chunk;
      for (let at = 0; at < frame.byteLength; at++) isData.push(isChunk && at >= DATA_AT);
    }
    let harmless = 0;
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      if (!isData[bit >> 3] && (bit & 7) !== (bit >> 3) % 8) continue;
      const bent = bytes.slice();
      bent[bit >> 3] = (bent[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        const content = await receive([bent]);
        // Only compressed data has no check of its own: the checksum and the digest are over what
        // it stands for, and deflate has several ways to say the same (padding, distances).
        assert.isTrue(isData[bit >> 3], `bit ${bit} is under a check`);
        assert.isTrue(sameBytes(content, tiny.content), `bit ${bit} made another tensor`);
        harmless++;
      } catch (error) {
        const isTyped = error instanceof TransportError || error instanceof IntegrityError;
        assert.isTrue(isTyped, `bit ${bit}: ${error}`);
      }
    }
    assert.isBelow(harmless, isData.filter(Boolean).length);
  });

  test("frame decoder: frames of the connection and of the sender's phase are passed over", async () => {
    const [offer, ...rest] = tiny.frames as [Uint8Array, ...Uint8Array[]];
    const ping = vectors.binary.find(({ kind }) => kind === "ping")?.bytes as Uint8Array;
    const hello = vectors.control.find(({ kind }) => kind === "hello")?.bytes as Uint8Array;
    const phase = encodeMessage("phase", 1, { phase: "verifying", bytes: 0 });
    const goodbye = encodeMessage("goodbye", 0, {});
    const slices = [
      encodePreamble(),
      hello,
      offer,
      ping,
      phase,
      vectors.skippable,
      ...rest,
      goodbye,
    ];
    assert.isTrue(sameBytes(await receive(slices, { expectPreamble: true }), tiny.content));
  });

  test("frame decoder: what the sender reports is what the reader gets", async () => {
    const fault = { code: "not_found", retryable: false, message: "no such tensor" };
    for (const [kind, stream] of [
      ["error", 1],
      ["cancel", 1],
      ["error", 0],
    ] as const) {
      const report = encodeMessage(kind, stream, fault);
      await assertRejects(() => receive([report]), NotFoundError, /no such tensor/);
      const late = [...tiny.frames.slice(0, 2), report];
      await assertRejects(() => receive(late), NotFoundError, /no such tensor/);
    }
  });

  test("frame decoder: offer and complete are promises, rejected when the stream fails before", async () => {
    const decoder = new FrameDecoderStream();
    const chunks = collect(countedSource(tiny.frames.slice(0, 1)).stream.pipeThrough(decoder));
    assert.deepEqual((await decoder.offer).descriptor, {
      dtype: "U8",
      shape: [700],
      byteLength: 700,
    });
    await assertRejects(() => chunks, TransportError, /before the transfer was complete/);
    await assertRejects(() => decoder.complete, TransportError, /before the transfer was complete/);
  });

  test("frame decoder: frames out of order and of other streams are refused", async () => {
    const [offer, digests, chunk, ...rest] = tiny.frames as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      ...Uint8Array[],
    ];
    const complete = rest.at(-1) as Uint8Array;
    const onStream3 = encodeMessage("complete", 3, {
      byteLength: 700,
      version: new Uint8Array(),
      chunks: 1,
    });
    const answer = encodeChecked(
      FRAME.digests,
      1,
      encodeDigestPage({ firstLeaf: 0, digests: [] }),
      3,
    );
    const wrong: Record<string, Uint8Array[]> = {
      "a chunk first": [chunk],
      "digests first": [digests],
      "complete first": [complete],
      "a second offer": [offer, offer],
      "another stream's end": [offer, onStream3],
      "complete within a chunk": [offer, digests, chunk, complete],
      "a fragment twice": [offer, digests, chunk, chunk],
      "a fragment left out": [offer, digests, rest[0] as Uint8Array],
      "an answer to no query": [offer, answer],
      "a frame after the end": [...tiny.frames, digests],
      "a request": [vectors.control.find(({ kind }) => kind === "request")?.bytes as Uint8Array],
    };
    for (const [what, slices] of Object.entries(wrong)) {
      const error = await assertRejects(() => decode(slices), ProtocolError, /./);
      assert.isFalse(error.retryable, what);
    }
  });

  test("frame decoder: chunks that do not fit the tensor, its leaves or the offer are refused", async () => {
    const byteLength = 3 * LEAF_BYTES + 100;
    const offer = offerOf({ descriptor: u8(byteLength), chunkBytes: 2 * LEAF_BYTES });
    const wrong: Uint8Array[] = [
      chunkFrame(3 * LEAF_BYTES, 101),
      chunkFrame(0, 2 * LEAF_BYTES + 1, 10),
      chunkFrame(LEAF_BYTES - 1, 2, 2),
      chunkFrame(0, LEAF_BYTES + 1, 10),
      chunkFrame(1, LEAF_BYTES, 10),
      chunkFrame(0, 100, 10, { codec: 2, encodedBytes: 10 }),
    ];
    for (const frame of wrong) {
      const work = await countWork(async () => {
        await assertRejects(() => decode([offer, frame]), ProtocolError, /./);
      });
      assert.isBelow(work.allocatedBytes, 4096, "nothing is taken in for it");
    }
    const right = [
      chunkFrame(2 * LEAF_BYTES, LEAF_BYTES + 100),
      chunkFrame(5, 3),
      chunkFrame(0, LEAF_BYTES),
    ];
    for (const frame of right) {
      await assertRejects(() => decode([offer, frame]), TransportError, /before the transfer/);
    }
  });

  test("frame decoder: a tensor over the limit and digests without chunks are refused", async () => {
    const limits = { ...DEFAULT_LIMITS, maxTensorBytes: 699 };
    await assertRejects(() => receive(tiny.frames, { limits }), LimitError, /at most 699/);
    const huge = offerOf({ descriptor: u8(2 ** 40) });
    await assertRejects(() => decode([huge]), TransportError, /ended/);
    await assertRejects(
      () => decode([offerOf({ descriptor: u8(2 ** 40 + 1) })]),
      LimitError,
      /offered/,
    );
    const page = (firstLeaf: number) => {
      const digests = Array.from({ length: 2000 }, () => new Uint8Array(32));
      return encodeChecked(FRAME.digests, 1, encodeDigestPage({ firstLeaf, digests }));
    };
    await assertRejects(
      () => decode([huge, page(2 ** 20)]),
      ProtocolError,
      /leaf 1050575 of 1048576/,
    );
    const many = Array.from({ length: 40 }, (_, n) => page(2000 * n));
    await assertRejects(() => decode([huge, ...many]), ProtocolError, /did not send/);
  });

  test("frame decoder: each chunk is received by one copy into its own memory", async () => {
    const [first] = transfers as [TransferVector];
    const wireBytes = first.chunks.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0);
    const slices = [...slicesOf(concat(first.frames), [50_000])];
    const work = await countWork(async () => {
      await decode(slices);
    });
    assert.isBelow(work.copiedBytes, wireBytes + 20_000);
    assert.isBelow(work.allocatedBytes, wireBytes + 20_000);
  });

  test("frame decoder: takes no more than is read", async () => {
    const offer = offerOf({ descriptor: u8(1000), chunkBytes: 1024 });
    const frames = Array.from({ length: 100 }, (_, n) => chunkFrame(10 * n, 10));
    const { stream, pulls } = countedSource([offer, ...frames]);
    const reader = stream.pipeThrough(new FrameDecoderStream()).getReader();
    for (let n = 0; n < 10; n++) await reader.read();
    await turns(200);
    assert.isAtMost(pulls(), 14);
    await reader.cancel();
  });

  test("frame decoder: cost is linear in bytes and in slices", async () => {
    const cost = async (byteLength: number, sliceBytes: number) => {
      const offer = offerOf({ descriptor: u8(byteLength) });
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < byteLength; at += 10_000) chunks.push(chunkFrame(at, 10_000));
      const slices = [...slicesOf(concat([offer, ...chunks]), [sliceBytes])];
      const work = await countWork(async () => {
        await decode(slices).catch((error) => assert.instanceOf(error, HeadraceError));
      });
      return totalWork(work);
    };
    const inBytes = await costExponent((n) => cost(n, 1000), [2e5, 4e5, 8e5]);
    assert.isBelow(inBytes, 1.15, "bytes");
    const inSlices = await costExponent((n) => cost(2e5, Math.ceil(2e5 / n)), [50, 200, 800, 3200]);
    assert.isBelow(inSlices, 1.15, "slices");
  });

  test("frame decoder: takes nothing but bytes", async () => {
    const source = countedSource(["text"] as unknown as Uint8Array[]).stream;
    const chunks = () => collect(source.pipeThrough(new FrameDecoderStream()));
    await assertRejects(chunks, TypeError, /Uint8Array, found string/);
  });
};
