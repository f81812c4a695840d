import { assert } from "chai";
import fc from "fast-check";
import { ChunkCutter } from "../../lib/streams/chunk_cutter.ts";
import { ChunkerStream } from "../../lib/streams/chunker_stream.ts";
import { chunkEnd, type TensorChunk } from "../../lib/tensor/chunk.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { costExponent, countWork, totalWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { collect, countedSource, patterned, sameBytes, turns } from "./support.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Chunks must hold the bytes in order, end where chunkEnd says, and say what they are. */
function assertChunks(
  chunks: readonly TensorChunk[],
  content: Uint8Array,
  chunkBytes: number,
  byteOffset = 0,
): void {
  let at = 0;
  for (const chunk of chunks) {
    const end = Math.min(chunkEnd(byteOffset + at, chunkBytes), byteOffset + content.byteLength);
    assert.equal(chunk.byteOffset, byteOffset + at);
    assert.equal(chunk.byteOffset + chunk.rawBytes, end);
    assert.equal(chunk.codec, "none");
    assert.isTrue(sameBytes(chunk.bytes, content.subarray(at, at + chunk.rawBytes)));
    at += chunk.rawBytes;
  }
  assert.equal(at, content.byteLength);
}

/** Cuts content at the given lengths, over and over; each slice gets a buffer of its own. */
function* slices(content: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < content.byteLength; i++) {
    const length = lengths[i % lengths.length] as number;
    yield content.slice(at, at + length);
    at += length;
  }
}

const MOST_SLICES = 1000;

export const chunkerStreamSuite: Suite = ({ test }) => {
  const content = patterned(3 * MiB + 12_345);

  test("chunker: any slicing gives the same chunks, at any size and offset", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(KiB, 3000, 64 * KiB, 700 * KiB, MiB, 1.5 * MiB, 2 * MiB, 64 * MiB),
        fc.constantFrom(0, LEAF_BYTES, 5 * LEAF_BYTES, 2 ** 33),
        fc.array(
          fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 2 * MiB })),
          {
            minLength: 1,
            maxLength: 6,
          },
        ),
        fc.integer({ min: 0, max: content.byteLength }),
        async (chunkBytes, byteOffset, lengths, byteLength) => {
          // Slices of a few bytes all through are millions of them, and show nothing more.
          const most = MOST_SLICES * Math.max(...lengths);
          const part = content.subarray(0, Math.min(byteLength, most));
          const stage = new ChunkerStream({ chunkBytes, byteOffset });
          const { stream } = countedSource(slices(part, lengths));
          assertChunks(await collect(stream.pipeThrough(stage)), part, chunkBytes, byteOffset);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("chunker: slices of one byte, empty slices and no bytes at all", async () => {
    const part = content.subarray(0, 5000);
    const singles = [...slices(part, [1])].flatMap((slice) => [new Uint8Array(), slice]);
    const stage = new ChunkerStream({ chunkBytes: KiB });
    assertChunks(await collect(countedSource(singles).stream.pipeThrough(stage)), part, KiB);
    for (const nothing of [[], [new Uint8Array()]]) {
      const empty = countedSource(nothing).stream.pipeThrough(new ChunkerStream());
      assert.deepEqual(await collect(empty), []);
    }
  });

  test("chunker: a chunk that lies in one slice is a view of it", () => {
    const cutter = new ChunkCutter({ chunkBytes: MiB });
    for (const chunk of cutter.push(content)) {
      assert.equal(chunk.bytes.buffer, content.buffer);
      assert.equal(chunk.bytes.byteOffset, chunk.byteOffset);
    }
    assert.equal(cutter.finish()?.bytes.buffer, content.buffer);
  });

  test("chunker: what lies in several slices is copied once", async () => {
    const parts = [...slices(content, [100 * KiB])];
    const cutter = new ChunkCutter({ chunkBytes: MiB });
    const work = await countWork(() => {
      for (const part of parts) for (const _ of cutter.push(part));
      cutter.finish();
    });
    assert.isAtMost(work.copiedBytes, content.byteLength);
    assert.isAtMost(work.allocatedBytes, 4 * MiB);
  });

  test("chunker: refuses what is not a Uint8Array and sizes out of range", async () => {
    const wrong: [value: unknown, name: string][] = [
      ["text", "string"],
      [new ArrayBuffer(4), "ArrayBuffer"],
      [{}, "Object"],
      [[1, 2], "Array"],
    ];
    for (const [value, name] of wrong) {
      const stream = countedSource([value as Uint8Array]).stream;
      const failure = await collect(stream.pipeThrough(new ChunkerStream())).catch((e) => e);
      assert.instanceOf(failure, TypeError);
      assert.include((failure as TypeError).message, name);
    }
    for (const chunkBytes of [0, 1023, 64 * MiB + 1, 2000.5, Number.NaN]) {
      assert.throws(() => new ChunkerStream({ chunkBytes }), RangeError);
    }
    for (const byteOffset of [-1, 0.5, 2 ** 53]) {
      assert.throws(() => new ChunkerStream({ byteOffset }), RangeError);
    }
  });

  test("chunker: takes no more than is read", async () => {
    const part = new Uint8Array(512);
    const { stream, pulls } = countedSource(Array.from({ length: 1000 }, () => part));
    const reader = stream.pipeThrough(new ChunkerStream({ chunkBytes: KiB })).getReader();
    for (let i = 0; i < 10; i++) await reader.read();
    await turns(200);
    assert.isAtMost(pulls(), 10 * 2 + 4);
    await reader.cancel();
  });

  test("chunker: cost is linear in bytes and in slices, by a measure that sees a quadratic one", async () => {
    const chunkerCost = async (byteLength: number, sliceBytes: number, chunkBytes: number) => {
      const parts = [...slices(new Uint8Array(byteLength), [sliceBytes])];
      const work = await countWork(async () => {
        const stage = new ChunkerStream({ chunkBytes });
        await collect(countedSource(parts).stream.pipeThrough(stage));
      });
      return totalWork(work);
    };
    const quadraticCost = async (byteLength: number, sliceBytes: number) => {
      const parts = [...slices(new Uint8Array(byteLength), [sliceBytes])];
      const work = await countWork(() => {
        let joined = new Uint8Array();
        for (const part of parts) {
          const longer = new Uint8Array(joined.byteLength + part.byteLength);
          longer.set(joined);
          longer.set(part, joined.byteLength);
          joined = longer;
        }
      });
      return totalWork(work);
    };
    const lengths = [64, 128, 256, 512, 1024].map((n) => n * KiB);
    const counts = [250, 500, 1000, 2000, 4000];
    const inBytes = await costExponent((n) => quadraticCost(n, 4 * KiB), lengths);
    assert.isAbove(inBytes, 1.6, "joining is quadratic in bytes");
    const inSlices = await costExponent((n) => quadraticCost(n * 100, 100), counts);
    assert.isAbove(inSlices, 1.6, "joining is quadratic in slices");

    for (const chunkBytes of [KiB, 16 * KiB]) {
      const bytes = await costExponent((n) => chunkerCost(n, 1000, chunkBytes), lengths);
      assert.isBelow(bytes, 1.15, `bytes, chunks of ${chunkBytes}`);
      const slices = await costExponent((n) => chunkerCost(n * 100, 100, chunkBytes), counts);
      assert.isBelow(slices, 1.15, `slices, chunks of ${chunkBytes}`);
    }
    const oneChunk = await costExponent(
      (n) => chunkerCost(400 * KiB, Math.ceil((400 * KiB) / n), MiB),
      counts,
    );
    assert.isBelow(oneChunk, 1.15, "slices of one chunk, the bytes staying the same");
  });
};
