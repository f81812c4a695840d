import { assert } from "chai";
import fc from "fast-check";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import type { Suite } from "../harness.ts";

const SEED = 2654435761;

/** The buffer that xxHash's own sanity check sums. */
function sanityBuffer(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = BigInt(SEED);
  for (let i = 0; i < length; i++) {
    bytes[i] = Number(state >> 56n);
    state = BigInt.asUintN(64, state * 11400714785074694797n);
  }
  return bytes;
}

/** XXH32 by the letter of the specification, in big integers. */
function reference(bytes: Uint8Array, seed: number): number {
  const [p1, p2, p3, p4, p5] = [2654435761n, 2246822519n, 3266489917n, 668265263n, 374761393n];
  const u32 = (n: bigint) => BigInt.asUintN(32, n);
  const rotate = (n: bigint, by: bigint) => u32((n << by) | (n >> (32n - by)));
  const word = (at: number) =>
    BigInt(new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true));
  const s = BigInt(seed);
  let at = 0;
  let hash = s + p5;
  if (bytes.length >= 16) {
    const lanes = [s + p1 + p2, s + p2, s, s - p1].map(u32);
    for (; at + 16 <= bytes.length; at += 16) {
      for (const i of lanes.keys()) {
        lanes[i] = u32(rotate(u32((lanes[i] as bigint) + word(at + 4 * i) * p2), 13n) * p1);
      }
    }
    hash = [1n, 7n, 12n, 18n].reduce((sum, by, i) => sum + rotate(lanes[i] as bigint, by), 0n);
  }
  hash = u32(hash + BigInt(bytes.length));
  for (; at + 4 <= bytes.length; at += 4) {
    hash = u32(rotate(u32(hash + word(at) * p3), 17n) * p4);
  }
  for (; at < bytes.length; at++) {
    hash = u32(rotate(u32(hash + BigInt(bytes[at] as number) * p5), 11n) * p1);
  }
  hash = u32((hash ^ (hash >> 15n)) * p2);
  hash = u32((hash ^ (hash >> 13n)) * p3);
  return Number(hash ^ (hash >> 16n));
}

export const xxh32Suite: Suite = ({ test }) => {
  test("xxh32: gives the values of xxHash's own sanity check", () => {
    const buffer = sanityBuffer(222);
    const vectors: [length: number, seed: number, hash: number][] = [
      [0, 0, 0x02cc5d05],
      [0, SEED, 0x36b78ae7],
      [1, 0, 0xcf65b03e],
      [1, SEED, 0xb4545aa4],
      [14, 0, 0x1208e7e2],
      [14, SEED, 0x6af1d1fe],
      [222, 0, 0x5bd11dbd],
      [222, SEED, 0x58803c5f],
    ];
    for (const [length, seed, hash] of vectors) {
      assert.equal(xxh32(buffer.subarray(0, length), seed), hash, `${length} bytes, seed ${seed}`);
    }
    assert.equal(xxh32(new TextEncoder().encode("abc")), 0x32d153ff);
  });

  test("xxh32: is the specification's at every length and alignment", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(7),
        fc.integer({ min: 0, max: 0xffffffff }),
        (content, shift, seed) => {
          const held = new Uint8Array(shift + content.length + 3).fill(0xaa);
          held.set(content, shift);
          const view = held.subarray(shift, shift + content.length);
          assert.equal(xxh32(view, seed), reference(content, seed));
        },
      ),
      { numRuns: 400 },
    );
  });

  test("xxh32: a long input gives the specification's value at every alignment", () => {
    const content = sanityBuffer(5000);
    for (const length of [1023, 1024, 1025, 1039, 1040, 1041, 1055, 1056, 1057, 4999]) {
      const expected = reference(content.subarray(0, length), 0);
      for (const shift of [0, 1, 2, 3, 4, 8]) {
        const held = new Uint8Array(shift + length + 1);
        held.set(content.subarray(0, length), shift);
        const view = held.subarray(shift, shift + length);
        assert.equal(xxh32(view), expected, `${length} bytes, shifted by ${shift}`);
      }
    }
  });
};
