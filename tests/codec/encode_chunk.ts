import { assert } from "chai";
import type { Clock } from "../../lib/clock.ts";
import type { Compression } from "../../lib/codec/compression.ts";
import { decodeChunk } from "../../lib/codec/decode_chunk.ts";
import { deflate } from "../../lib/codec/deflate.ts";
import { encodeChunk } from "../../lib/codec/encode_chunk.ts";
import { looksIncompressible, sampledEntropyBits } from "../../lib/codec/entropy.ts";
import { CompressionGovernor, PROBE_BYTES } from "../../lib/codec/governor.ts";
import { IntegrityError, LimitError, ProtocolError } from "../../lib/errors.ts";
import type { Suite } from "../harness.ts";
import { patterned } from "../streams/support.ts";

const MiB = 1024 * 1024;

/** Keeps every `divisor`-th byte, on a clock that it moves itself; records what it was given. */
function fakeCodec(divisor: number, msPerMiB: number) {
  const seen: number[] = [];
  let nowMs = 0;
  const clock: Clock = { now: () => nowMs, after: () => () => {} };
  const codec: Compression = {
    name: "fake",
    compress(bytes) {
      seen.push(bytes.byteLength);
      nowMs += (bytes.byteLength / MiB) * msPerMiB;
      return new Uint8Array(Math.ceil(bytes.byteLength / divisor));
    },
    decompress: (_, rawBytes) => new Uint8Array(rawBytes),
  };
  return { codec, clock, seen };
}

export const encodeChunkSuite: Suite = ({ test }) => {
  const plain = new Uint8Array(MiB).fill(3);
  const noise = patterned(MiB);

  test("encode: below the threshold, noise, and what does not shrink stay as they are", async () => {
    const { codec, seen } = fakeCodec(2, 1);
    const small = plain.subarray(0, 4095);
    const asIs = (bytes: Uint8Array) => ({ codec: "none", bytes });
    assert.deepEqual(encodeChunk(small, { codec, thresholdBytes: 4096 }), asIs(small));
    assert.deepEqual(
      encodeChunk(new Uint8Array(), { codec, thresholdBytes: 0 }),
      asIs(new Uint8Array()),
    );
    assert.deepEqual(encodeChunk(noise, { codec, thresholdBytes: 4096 }), asIs(noise));
    assert.deepEqual(seen, [], "the codec was not even asked");
    const lazy = fakeCodec(1, 1);
    const stored = await encodeChunk(plain, { codec: lazy.codec, thresholdBytes: 4096 });
    assert.equal(stored.codec, "none");
    assert.equal(stored.bytes, plain);
    assert.deepEqual(lazy.seen, [MiB]);
  });

  test("encode: what shrinks goes under the codec's name and comes back", async () => {
    for (const bytes of [plain, plain.subarray(0, 4096), patterned(MiB).map((byte) => byte & 7)]) {
      const encoded = await encodeChunk(bytes, { codec: deflate, thresholdBytes: 4096 });
      assert.equal(encoded.codec, "deflate");
      assert.isBelow(encoded.bytes.byteLength, bytes.byteLength / 2);
      const options = { codecs: [deflate] };
      const raw = await decodeChunk(encoded.bytes, encoded.codec, bytes.byteLength, options);
      assert.isTrue(raw.every((byte, i) => byte === bytes[i]));
    }
  });

  test("encode: the governor has the word, and a probe costs a part of a chunk", () => {
    const { codec, clock, seen } = fakeCodec(4, 10);
    const governor = new CompressionGovernor();
    const options = { codec, thresholdBytes: 0, governor, clock };
    assert.equal((encodeChunk(plain, options) as { codec: string }).codec, "none");
    assert.deepEqual(seen, [], "nothing is compressed before the link is known");
    governor.drained(MiB, 1000);
    assert.equal((encodeChunk(plain, options) as { codec: string }).codec, "fake");
    assert.deepEqual(seen, [PROBE_BYTES, MiB], "a probe, and the chunk at once since it pays");
    assert.equal((encodeChunk(plain, options) as { codec: string }).codec, "fake");
    assert.deepEqual(seen, [PROBE_BYTES, MiB, MiB]);
  });

  test("decode: refuses unknown codecs, sizes over the cap and wrong lengths", async () => {
    const options = { codecs: [deflate], maxChunkBytes: MiB };
    assert.equal(decodeChunk(plain, "none", MiB, options), plain);
    assert.throws(
      () => decodeChunk(plain, "zip", 5, options),
      ProtocolError,
      /"zip".*none, deflate/,
    );
    for (const rawBytes of [MiB + 1, 2 ** 60, -1, 0.5, Number.NaN]) {
      assert.throws(() => decodeChunk(plain, "deflate", rawBytes, options), LimitError);
    }
    assert.throws(() => decodeChunk(plain, "none", 5, options), IntegrityError, /5 bytes, found/);
    const short: Compression = { ...deflate, name: "short", decompress: () => new Uint8Array(4) };
    assert.throws(() => decodeChunk(plain, "short", 5, { codecs: [short] }), IntegrityError);
  });

  test("entropy: is exact for what is known", () => {
    assert.equal(sampledEntropyBits(new Uint8Array()), 0);
    assert.equal(sampledEntropyBits(plain), 0);
    assert.closeTo(sampledEntropyBits(Uint8Array.of(1, 2, 3, 4)), 2, 1e-12);
    assert.closeTo(sampledEntropyBits(Uint8Array.from({ length: 4096 }, (_, i) => i)), 8, 1e-12);
    assert.closeTo(sampledEntropyBits(noise), 7.95, 0.02);
  });

  test("entropy: no period in the data hides a part of it", () => {
    for (const period of [2, 4, 8, 18, 34, 256, 4096]) {
      // One byte in each period is always zero, the others noise; the share of zeros must show.
      const bytes = noise.map((byte, i) => (i % period === 0 ? 0 : byte | 1));
      const zeros = 1 / period;
      const split = -zeros * Math.log2(zeros) - (1 - zeros) * Math.log2(1 - zeros);
      const expected = split + (1 - zeros) * 7;
      assert.closeTo(sampledEntropyBits(bytes), expected, 0.12, `period ${period}`);
    }
  });

  test("entropy: tells float weights from noise", () => {
    const floats = new Float32Array(MiB / 4).map((_, i) => {
      const spread = (noise[4 * i] as number) + (noise[4 * i + 1] as number) / 256 - 128;
      return (spread / 2000) * ((noise[4 * i + 2] as number) / 256);
    });
    assert.isFalse(looksIncompressible(new Uint8Array(floats.buffer)));
    assert.isTrue(looksIncompressible(noise));
    assert.isTrue(looksIncompressible(noise.subarray(0, 65_536)));
  });
};
