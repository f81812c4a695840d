import { assert } from "chai";
import fc from "fast-check";
import { halfOf, roundToF16, truncateToBf16 } from "../../lib/cli/half_floats.ts";
import type { Suite } from "../harness.ts";

/** What an F16's bits are worth, by the definition of the format. */
function worthOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** The bits of the F32 nearest to the number. */
function bitsOf(value: number): number {
  floats[0] = value;
  return bits[0] as number;
}

/** The number that an F32's bits are worth. */
function singleOf(pattern: number): number {
  bits[0] = pattern;
  return floats[0] as number;
}

export const halfFloatsSuite: Suite = ({ test }) => {
  test("half floats: every F16 survives the way through F32", () => {
    for (let half = 0; half < 0x10000; half++) {
      const value = worthOf(half);
      const found = halfOf(bitsOf(value));
      if (Number.isNaN(value)) assert.isNaN(worthOf(found));
      else assert.equal(found, Object.is(value, -0) ? 0x8000 : half);
    }
  });

  test("half floats: rounding is to the nearest, ties to even", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x477fefff }), fc.boolean(), (pattern, negative) => {
        // All finite F32 that do not round to infinity, and those between the smallest halves.
        const value = singleOf(pattern);
        const half = halfOf(negative ? pattern | 0x80000000 : pattern);
        assert.equal(half >>> 15, negative ? 1 : 0);
        const magnitude = half & 0x7fff;
        const error = Math.abs(worthOf(magnitude) - value);
        for (const neighbour of [magnitude - 1, magnitude + 1]) {
          if (neighbour < 0 || neighbour >= 0x7c00) continue;
          const other = Math.abs(worthOf(neighbour) - value);
          assert.isTrue(error < other || (error === other && (magnitude & 1) === 0));
        }
      }),
      { numRuns: 5000, seed: 3 },
    );
    assert.equal(halfOf(0x477ff000), 0x7c00);
    assert.equal(halfOf(0x477fefff), 0x7bff);
    assert.equal(halfOf(0x33000000), 0);
    assert.equal(halfOf(0x33000001), 1);
  });

  test("half floats: BF16 is the upper half of each float, whatever the alignment", () => {
    const bytes = Uint8Array.of(0xee, 1, 2, 3, 4, 5, 6, 7, 8);
    assert.deepEqual(truncateToBf16(bytes.subarray(1)), Uint8Array.of(3, 4, 7, 8));
    const one = Uint8Array.of(0xee, 0, 0, 0x80, 0x3f);
    assert.deepEqual(roundToF16(one.subarray(1)), Uint8Array.of(0, 0x3c));
  });
};
