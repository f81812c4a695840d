import { assert } from "chai";
import fc from "fast-check";
import type { Compression } from "../../lib/codec/compression.ts";
import { deflate } from "../../lib/codec/deflate.ts";
import { CompressionGovernor } from "../../lib/codec/governor.ts";
import { IntegrityError, LimitError, ProtocolError } from "../../lib/errors.ts";
import { ChecksumStream } from "../../lib/streams/checksum_stream.ts";
import { ChunkerStream } from "../../lib/streams/chunker_stream.ts";
import { CompressorStream } from "../../lib/streams/compressor_stream.ts";
import { DecompressorStream } from "../../lib/streams/decompressor_stream.ts";
import type { TensorChunk } from "../../lib/tensor/chunk.ts";
import type { Suite } from "../harness.ts";
import { collect, countedSource, patterned, sameBytes, turns } from "./support.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

function chunksOf(content: Uint8Array, chunkBytes: number): ReadableStream<TensorChunk> {
  return countedSource([content])
    .stream.pipeThrough(new ChunkerStream({ chunkBytes }))
    .pipeThrough(new ChecksumStream());
}

export const compressorStreamSuite: Suite = ({ test }) => {
  const noise = patterned(3 * MiB + 77);
  // A third of it shrinks a lot, a third a little, a third not at all.
  const content = noise.map((byte, i) =>
    i < MiB ? byte & 3 : i < 2 * MiB && i % 4 === 3 ? 0x3c | (byte & 3) : byte,
  );

  test("compressor: what goes in comes out of the decompressor, with all that was said of it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(3000, 64 * KiB, 700 * KiB, MiB, 2 * MiB),
        fc.constantFrom(0, 4096, 100_000),
        fc.integer({ min: 1, max: 4 }),
        async (chunkBytes, thresholdBytes, concurrency) => {
          const before = await collect(chunksOf(content, chunkBytes));
          const stage = new CompressorStream({ thresholdBytes, concurrency });
          const packed = await collect(countedSource(before).stream.pipeThrough(stage));
          for (const { rawBytes, codec, bytes } of packed) {
            if (rawBytes < thresholdBytes) assert.equal(codec, "none");
            assert.isTrue(codec === "none" || bytes.byteLength < rawBytes);
          }
          const back = countedSource(packed).stream.pipeThrough(new DecompressorStream());
          const after = await collect(back);
          assert.equal(after.length, before.length);
          for (const [i, chunk] of after.entries()) {
            const { bytes, ...said } = before[i] as TensorChunk;
            assert.isTrue(sameBytes(chunk.bytes, bytes));
            assert.deepEqual({ ...chunk, bytes: undefined }, { ...said, bytes: undefined });
          }
        },
      ),
      { numRuns: 12 },
    );
  });

  test("compressor: shrinks what shrinks and leaves noise as it is, uncopied", async () => {
    const packed = await collect(chunksOf(content, MiB).pipeThrough(new CompressorStream()));
    assert.deepEqual(
      packed.map(({ codec }) => codec),
      ["deflate", "deflate", "none", "none"],
    );
    assert.isBelow(packed[0]?.bytes.byteLength as number, MiB / 3);
    assert.equal(packed[2]?.bytes.buffer, content.buffer);
  });

  test("compressor: chunks that are compressed already pass", async () => {
    const chunk = { byteOffset: 0, rawBytes: 9000, bytes: new Uint8Array(8000), codec: "other" };
    const [passed] = await collect(
      countedSource([chunk]).stream.pipeThrough(new CompressorStream()),
    );
    assert.equal(passed, chunk);
  });

  test("compressor: a governor that knows no link keeps everything raw", async () => {
    const stage = new CompressorStream({ governor: new CompressionGovernor() });
    const chunks = await collect(chunksOf(content, MiB).pipeThrough(stage));
    assert.isTrue(chunks.every(({ codec }) => codec === "none"));
  });

  test("compressor: another codec is a value, and the stages know it by its name alone", async () => {
    const halves: Compression = {
      name: "halves",
      compress: async (bytes) => bytes.slice(0, bytes.byteLength / 2),
      decompress: (bytes, rawBytes) => {
        const raw = new Uint8Array(rawBytes);
        raw.set(bytes);
        raw.set(bytes, bytes.byteLength);
        return raw;
      },
    };
    const twice = new Uint8Array(2 * MiB).fill(5);
    const packed = chunksOf(twice, MiB).pipeThrough(new CompressorStream({ codec: halves }));
    const chunks = await collect(packed);
    assert.deepEqual(
      chunks.map(({ codec, bytes }) => [codec, bytes.byteLength]),
      [
        ["halves", MiB / 2],
        ["halves", MiB / 2],
      ],
    );
    const stage = new DecompressorStream({ codecs: [deflate, halves] });
    const back = await collect(countedSource(chunks).stream.pipeThrough(stage));
    assert.isTrue(
      back.every(({ bytes }) => bytes.byteLength === MiB && bytes.every((b) => b === 5)),
    );
  });

  test("compressor: takes no more than is read, and compresses as many at once as allowed", async () => {
    let underWay = 0;
    let most = 0;
    const slow: Compression = {
      ...deflate,
      async compress(bytes) {
        most = Math.max(most, ++underWay);
        await turns(30);
        underWay--;
        return bytes.subarray(0, 10);
      },
    };
    const bytes = new Uint8Array(8192);
    const items = Array.from({ length: 500 }, (_, i) => ({
      byteOffset: i * 8192,
      rawBytes: 8192,
      bytes,
      codec: "none",
    }));
    const { stream, pulls } = countedSource(items);
    const stage = new CompressorStream({ codec: slow, concurrency: 3 });
    const reader = stream.pipeThrough(stage).getReader();
    for (let i = 0; i < 20; i++) assert.equal((await reader.read()).value?.byteOffset, i * 8192);
    await turns(500);
    assert.isAtMost(pulls(), 20 + 3 + 3);
    assert.equal(most, 3);
    await reader.cancel();
  });

  test("decompressor: refuses unknown codecs, sizes over the cap and damage, each by its own error", async () => {
    const failureOf = (chunk: Partial<TensorChunk>) => {
      const whole = { byteOffset: 0, rawBytes: 100, bytes: new Uint8Array(50), codec: "deflate" };
      const stage = new DecompressorStream({ maxChunkBytes: MiB });
      const { stream } = countedSource([{ ...whole, ...chunk }]);
      return collect(stream.pipeThrough(stage)).catch((reason: unknown) => reason);
    };
    assert.instanceOf(await failureOf({ codec: "zip" }), ProtocolError);
    assert.instanceOf(await failureOf({ rawBytes: MiB + 1 }), LimitError);
    assert.instanceOf(await failureOf({}), IntegrityError);
    assert.instanceOf(await failureOf({ codec: "none" }), IntegrityError);
    const large = await deflate.compress(new Uint8Array(MiB));
    assert.instanceOf(await failureOf({ bytes: large, rawBytes: 900_000 }), IntegrityError);
  });

  test("compressor: refuses a threshold that is not a whole number from 0", () => {
    for (const thresholdBytes of [-1, 0.5, Number.NaN]) {
      assert.throws(() => new CompressorStream({ thresholdBytes }), RangeError);
    }
  });
};
