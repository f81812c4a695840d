import { assert } from "chai";
import fc from "fast-check";
import { type Deferred, deferred } from "../../lib/deferred.ts";
import { type Sha256, sha256 } from "../../lib/platform/sha256.ts";
import { ChecksumStream } from "../../lib/streams/checksum_stream.ts";
import { ChunkerStream } from "../../lib/streams/chunker_stream.ts";
import type { LeafDigest, TensorChunk } from "../../lib/tensor/chunk.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../../lib/tensor/leaf.ts";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import type { Suite } from "../harness.ts";
import { collect, countedSource, patterned, sameBytes, turns } from "./support.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

const lateSha256: Sha256 = async (parts) => {
  await turns(parts.length % 5);
  return sha256(parts);
};

async function leafDigestsOf(content: Uint8Array): Promise<LeafDigest[]> {
  const digests: LeafDigest[] = [];
  for (let index = 0; index < leafCount(content.byteLength); index++) {
    const start = index * LEAF_BYTES;
    const leaf = content.subarray(start, start + leafLength(index, content.byteLength));
    digests.push({ index, digest: await sha256([leaf]) });
  }
  return digests;
}

function chunksOf(content: Uint8Array, chunkBytes: number): ReadableStream<TensorChunk> {
  return countedSource([content]).stream.pipeThrough(new ChunkerStream({ chunkBytes }));
}

export const checksumStreamSuite: Suite = ({ test }) => {
  const content = patterned(3 * MiB + 4321);

  test("checksums: every chunk has its sum, and every leaf its digest on the chunk it ends in", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(3000, 64 * KiB, 700 * KiB, MiB, 1.5 * MiB, 2 * MiB, 64 * MiB),
        fc.oneof(fc.nat(content.byteLength), fc.constantFrom(0, 1, MiB, 2 * MiB, 3 * MiB)),
        fc.boolean(),
        fc.constantFrom(sha256, lateSha256),
        async (chunkBytes, byteLength, isLengthKnown, hash) => {
          const part = content.subarray(0, byteLength);
          const stage = new ChecksumStream({
            sha256: hash,
            ...(isLengthKnown ? { byteLength } : {}),
          });
          const chunks = await collect(chunksOf(part, chunkBytes).pipeThrough(stage));
          let at = 0;
          for (const chunk of chunks) {
            assert.equal(chunk.byteOffset, at);
            assert.isTrue(sameBytes(chunk.bytes, part.subarray(at, at + chunk.rawBytes)));
            assert.equal(chunk.checksum, xxh32(chunk.bytes));
            at += chunk.rawBytes;
            for (const { index } of chunk.leafDigests ?? []) {
              const end = index * LEAF_BYTES + leafLength(index, byteLength);
              assert.isTrue(chunk.byteOffset < end && end <= at, "a leaf ends in its chunk");
            }
          }
          assert.equal(at, byteLength);
          const digests = chunks.flatMap((chunk) => chunk.leafDigests ?? []);
          assert.deepEqual(digests, await leafDigestsOf(part));
        },
      ),
      { numRuns: 25 },
    );
  });

  test("checksums: without digests there are sums only, and nothing is held back", async () => {
    const stage = new ChecksumStream({ digest: "none" });
    const writer = stage.writable.getWriter();
    const reader = stage.readable.getReader();
    const bytes = content.subarray(0, 100);
    const written = writer.write({ byteOffset: 7, rawBytes: 100, bytes, codec: "none" });
    const { value } = await reader.read();
    assert.deepEqual(value, {
      byteOffset: 7,
      rawBytes: 100,
      bytes,
      codec: "none",
      checksum: xxh32(bytes),
    });
    await written;
  });

  test("checksums: a chunk that may be the last waits for the next one, unless the length is known", async () => {
    const chunk = { byteOffset: 0, rawBytes: 10, bytes: content.subarray(0, 10), codec: "none" };
    for (const byteLength of [undefined, 10, 20]) {
      const stage = new ChecksumStream(byteLength === undefined ? {} : { byteLength });
      const writer = stage.writable.getWriter();
      let first: TensorChunk | undefined;
      const reading = stage.readable
        .getReader()
        .read()
        .then(({ value }) => {
          first = value;
        });
      await writer.write(chunk);
      await turns(50);
      assert.equal(first !== undefined, byteLength !== undefined);
      const closed = writer.close();
      await reading;
      await closed;
      assert.equal(first?.leafDigests?.length, byteLength === 20 ? 0 : 1);
    }
  });

  test("checksums: several digests are under way at once, and no more than allowed", async () => {
    const works: Deferred<Uint8Array>[] = [];
    const stage = new ChecksumStream({
      concurrency: 3,
      sha256: () => {
        works.push(deferred());
        return (works.at(-1) as Deferred<Uint8Array>).promise;
      },
    });
    const long = new Uint8Array(8 * MiB);
    const results = collect(chunksOf(long, MiB).pipeThrough(stage));
    for (let done = 0; done < 8; done++) {
      await turns(100);
      assert.equal(works.length, Math.min(8, done + 3));
      works[done]?.resolve(Uint8Array.of(done));
    }
    const order = (await results).map((chunk) => chunk.leafDigests?.[0]?.digest[0]);
    assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("checksums: refuses compressed chunks, leaves in part, and digests that do not exist", async () => {
    const bytes = content.subarray(0, 10);
    const chunk = (byteOffset: number, codec: string) => ({
      byteOffset,
      rawBytes: 10,
      bytes,
      codec,
    });
    const failureOf = (...chunks: TensorChunk[]) =>
      collect(countedSource(chunks).stream.pipeThrough(new ChecksumStream())).catch((e) => e);
    assert.instanceOf(await failureOf(chunk(0, "deflate")), TypeError);
    assert.instanceOf(await failureOf(chunk(5, "none")), RangeError);
    assert.instanceOf(await failureOf(chunk(0, "none"), chunk(20, "none")), RangeError);
    assert.throws(() => new ChecksumStream({ digest: JSON.parse('"md5"') }), TypeError, /md5/);
  });

  test("checksums: may begin at any leaf, and skip whole ones", async () => {
    const leaf = (index: number) => ({
      byteOffset: index * LEAF_BYTES,
      rawBytes: LEAF_BYTES,
      bytes: content.subarray(0, LEAF_BYTES),
      codec: "none",
    });
    const stream = countedSource([leaf(4), leaf(9)]).stream.pipeThrough(new ChecksumStream());
    const indexes = (await collect(stream)).map((chunk) => chunk.leafDigests?.map((d) => d.index));
    assert.deepEqual(indexes, [[4], [9]]);
  });
};
