import { assert } from "chai";
import fc from "fast-check";
import type { Compression } from "../../lib/codec/compression.ts";
import { createDeflate, deflate } from "../../lib/codec/deflate.ts";
import { pakoDeflate } from "../../lib/codec/pako_deflate.ts";
import { IntegrityError } from "../../lib/errors.ts";
import { createNodeDeflate } from "../../lib/platform/zlib.ts";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import type { Suite } from "../harness.ts";
import { patterned } from "../streams/support.ts";

/** Bytes of few values with runs in them, as in weights: deflate has something to do. */
function weightLike(byteLength: number): Uint8Array {
  return patterned(byteLength).map((byte, i) => (i % 97 < 20 ? 7 : 100 + (byte & 15)));
}

/** What decompression ends in: the error, or the bytes. */
async function outcome(
  codec: Compression,
  bytes: Uint8Array,
  rawBytes: number,
): Promise<Uint8Array | IntegrityError> {
  try {
    return await codec.decompress(bytes, rawBytes);
  } catch (error) {
    assert.instanceOf(error, IntegrityError);
    assert.equal((error as IntegrityError).where, "transit");
    return error as IntegrityError;
  }
}

export const deflateSuite: Suite = ({ test }) => {
  const pako = createDeflate({ implementation: pakoDeflate });
  const native = createNodeDeflate();
  const codecs: [string, Compression][] = [["pako", pako]];
  if (native) codecs.push(["native", createDeflate({ implementation: native })]);

  test("deflate: the runtime's own and pako read each other, at every level and strategy", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.uint8Array({ maxLength: 5000 }), fc.nat(100_000).map(weightLike)),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom("rle" as const, "default" as const),
        async (bytes, level, strategy) => {
          for (const implementation of [pakoDeflate, ...(native ? [native] : [])]) {
            const encoded = await createDeflate({ level, strategy, implementation }).compress(
              bytes,
            );
            for (const [name, codec] of codecs) {
              const raw = await codec.decompress(encoded, bytes.byteLength);
              assert.deepEqual(raw, bytes, name);
              assert.equal(raw.constructor, Uint8Array);
            }
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test("deflate: large chunks, and the default, make the trip", async () => {
    for (const byteLength of [1024 * 1024, 3_000_000]) {
      const bytes = weightLike(byteLength);
      const encoded = await deflate.compress(bytes);
      assert.isBelow(encoded.byteLength, byteLength * 0.6);
      assert.equal(xxh32(await deflate.decompress(encoded, byteLength)), xxh32(bytes));
      assert.equal(xxh32(await pako.decompress(encoded, byteLength)), xxh32(bytes));
    }
  });

  test("deflate: a stream that holds more or less than was declared is damaged", async () => {
    for (const byteLength of [0, 1, 300, 70_000, 200_000]) {
      const bytes = weightLike(byteLength);
      for (const [name, codec] of codecs) {
        const encoded = await codec.compress(bytes);
        for (const wrong of [byteLength - 1, byteLength + 1, byteLength * 2 + 64]) {
          if (wrong < 0) continue;
          assert.instanceOf(
            await outcome(codec, encoded, wrong),
            IntegrityError,
            `${name} ${wrong}`,
          );
        }
        assert.deepEqual(await outcome(codec, encoded, byteLength), bytes);
      }
    }
  });

  test("deflate: bytes after the stream's end are damage", async () => {
    for (const byteLength of [0, 300, 200_000]) {
      for (const [name, codec] of codecs) {
        const encoded = await codec.compress(weightLike(byteLength));
        for (const junk of [1, 9, 100_000]) {
          const longer = new Uint8Array(encoded.byteLength + junk);
          longer.set(encoded);
          assert.instanceOf(await outcome(codec, longer, byteLength), IntegrityError, name);
        }
      }
    }
  });

  test("deflate: every cut of a stream is damage", async () => {
    const bytes = weightLike(2000);
    for (const [name, codec] of codecs) {
      const encoded = await codec.compress(bytes);
      for (let end = 0; end < encoded.byteLength; end++) {
        const result = await outcome(codec, encoded.subarray(0, end), bytes.byteLength);
        assert.instanceOf(result, IntegrityError, `${name} cut at ${end}`);
      }
    }
  });

  test("deflate: with the checksum, no flipped bit goes unseen", async () => {
    const bytes = weightLike(1500);
    const checksum = xxh32(bytes);
    for (const [name, codec] of codecs) {
      const encoded = await codec.compress(bytes);
      let seenByChecksum = 0;
      for (let bit = 0; bit < encoded.byteLength * 8; bit++) {
        const flipped = encoded.slice();
        flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
        const result = await outcome(codec, flipped, bytes.byteLength);
        if (result instanceof IntegrityError) continue;
        // Padding after the last block may flip without harm.
        if (xxh32(result) !== checksum) seenByChecksum++;
        else assert.deepEqual(result, bytes, `${name} bit ${bit}`);
      }
      assert.isAbove(seenByChecksum, 0, "deflate alone does not see them all");
    }
  });

  test("deflate: what cannot be held in so few bytes is refused before it is allocated", async () => {
    for (const [, codec] of codecs) {
      const encoded = await codec.compress(new Uint8Array(1000));
      assert.isBelow(encoded.byteLength, 20);
      const result = await outcome(codec, encoded, 2 ** 40);
      assert.include((result as IntegrityError).message, "cannot");
    }
  });

  test("deflate: refuses levels that do not exist", () => {
    for (const level of [0, 10, 1.5, Number.NaN]) {
      assert.throws(() => createDeflate({ level }), RangeError);
    }
  });
};
