import { assert } from "chai";
import { byteLengthOf, createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { Suite } from "../harness.ts";

export const descriptorSuite: Suite = ({ test }) => {
  test("descriptor: counts the bytes of plain and of block dtypes", () => {
    assert.equal(byteLengthOf("F32", [2, 3]), 24);
    assert.equal(byteLengthOf("BF16", []), 2);
    assert.equal(byteLengthOf("I64", [0, 7]), 0);
    assert.equal(byteLengthOf("Q4_0", [4, 64]), 4 * 2 * 18);
  });

  test("descriptor: sizes past 2^32 are exact, past 2^53 refused", () => {
    assert.equal(byteLengthOf("F32", [40_000, 300_000]), 48_000_000_000);
    assert.throws(() => byteLengthOf("F64", [2 ** 31, 2 ** 22]), RangeError, /2\^53/);
    assert.throws(() => byteLengthOf("U8", [2 ** 40, 2 ** 40, 0]), RangeError, /2\^53/);
  });

  test("descriptor: refuses nonsense dimensions, partial blocks and a wrong declared length", () => {
    assert.throws(() => byteLengthOf("U8", [-1]), RangeError, /Dimension 0/);
    assert.throws(() => byteLengthOf("U8", [1.5]), RangeError, /Dimension 0/);
    assert.throws(() => byteLengthOf("Q8_0", [33]), RangeError, /multiple of 32/);
    assert.throws(() => createDescriptor("F32", [2], 9), RangeError, /takes 8 bytes, but 9/);
  });
};
