import { assert } from "chai";
import fc from "fast-check";
import { LeafBitmap } from "../../lib/tensor/bitmap.ts";
import type { Suite } from "../harness.ts";

/** A number of leaves and some of them, sparse or dense. */
const someLeaves = fc.nat(200).chain((leafTotal) =>
  fc.record({
    leafTotal: fc.constant(leafTotal),
    leaves: fc
      .tuple(fc.uniqueArray(fc.nat(Math.max(leafTotal - 1, 0))), fc.boolean())
      .map(([some, dense]) => {
        const all = Array.from({ length: leafTotal }, (_, index) => index);
        return all.filter((index) => some.includes(index) !== dense);
      }),
  }),
);

function bitmapOf(leafTotal: number, leaves: readonly number[]): LeafBitmap {
  const bitmap = new LeafBitmap(leafTotal);
  for (const index of leaves) bitmap.set(index);
  return bitmap;
}

export const bitmapSuite: Suite = ({ test }) => {
  test("bitmap: looks for what is missing no further than it is told", () => {
    const bitmap = new LeafBitmap(40);
    for (let leaf = 0; leaf < 20; leaf++) bitmap.set(leaf);
    assert.equal(bitmap.firstMissing(0, 40), 20);
    assert.equal(bitmap.firstMissing(3, 21), 20);
    assert.isUndefined(bitmap.firstMissing(0, 20));
    assert.isUndefined(bitmap.firstMissing(30, 30));
  });

  test("bitmap: knows what was set, how many, and what is missing from anywhere on", () => {
    fc.assert(
      fc.property(someLeaves, ({ leafTotal, leaves }) => {
        const bitmap = bitmapOf(leafTotal, leaves);
        const here = new Set(leaves);
        const missing: number[] = [];
        for (let index = 0; index < leafTotal; index++) {
          assert.equal(bitmap.has(index), here.has(index));
          if (!here.has(index)) missing.push(index);
        }
        assert.equal(bitmap.count, here.size);
        assert.equal(bitmap.isFull, missing.length === 0);
        for (let from = 0; from <= leafTotal; from++) {
          assert.equal(
            bitmap.firstMissing(from),
            missing.find((index) => index >= from),
          );
        }
        const listed: number[] = [];
        let lastEnd = -1;
        for (const { first, count } of bitmap.missingRanges()) {
          assert.isAbove(first, lastEnd, "runs that touch must be one");
          assert.isAbove(count, 0);
          lastEnd = first + count;
          for (let index = first; index < lastEnd; index++) listed.push(index);
        }
        assert.deepEqual(listed, missing);
      }),
    );
  });

  test("bitmap: survives its bytes, and its bytes survive it", () => {
    fc.assert(
      fc.property(someLeaves, ({ leafTotal, leaves }) => {
        const bytes = bitmapOf(leafTotal, leaves).toBytes();
        assert.equal(bytes.byteLength, Math.ceil(leafTotal / 8));
        const read = LeafBitmap.fromBytes(bytes, leafTotal);
        assert.equal(read.count, leaves.length);
        for (const index of leaves) assert.isTrue(read.has(index));
        assert.deepEqual(read.toBytes(), bytes);
      }),
    );
  });

  test("bitmap: leaf i is bit i % 8 of byte i / 8, the lowest first", () => {
    assert.deepEqual([...bitmapOf(18, [0, 9, 17]).toBytes()], [0b0000_0001, 0b0000_0010, 0b10]);
  });

  test("bitmap: a leaf counts once, and its bytes are a copy both ways", () => {
    const bitmap = new LeafBitmap(10);
    assert.isTrue(bitmap.set(3));
    assert.isFalse(bitmap.set(3));
    assert.equal(bitmap.count, 1);

    const bytes = bitmap.toBytes();
    const read = LeafBitmap.fromBytes(bytes, 10);
    bytes.fill(0);
    assert.isTrue(bitmap.has(3));
    assert.isTrue(read.has(3));
  });

  test("bitmap: refuses padding that is not zero and lengths that do not fit", () => {
    for (let leafTotal = 1; leafTotal <= 24; leafTotal++) {
      const bytes = bitmapOf(leafTotal, []).toBytes();
      for (let bit = leafTotal; bit < bytes.byteLength * 8; bit++) {
        const padded = bytes.slice();
        padded[bit >> 3] = 1 << (bit & 7);
        assert.throws(() => LeafBitmap.fromBytes(padded, leafTotal), RangeError, /beyond the last/);
      }
      const longer = new Uint8Array(bytes.byteLength + 1);
      assert.throws(() => LeafBitmap.fromBytes(longer, leafTotal), RangeError, /takes \d+ bytes/);
      const shorter = bytes.subarray(1);
      assert.throws(() => LeafBitmap.fromBytes(shorter, leafTotal), RangeError, /takes \d+ bytes/);
    }
  });

  test("bitmap: refuses leaves that the tensor does not have, and nonsense totals", () => {
    const bitmap = new LeafBitmap(9);
    for (const index of [-1, 9, 0.5, Number.NaN]) {
      assert.throws(() => bitmap.has(index), RangeError, /9 leaves/);
      assert.throws(() => bitmap.set(index), RangeError, /9 leaves/);
    }
    assert.isTrue(new LeafBitmap(0).isFull);
    for (const leafTotal of [-1, 0.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => new LeafBitmap(leafTotal), RangeError, /leafTotal/);
      assert.throws(() => LeafBitmap.fromBytes(new Uint8Array(0), leafTotal), RangeError);
    }
  });
};
