import { assert } from "chai";
import fc from "fast-check";
import { type CborValue, decodeCbor, encodeCbor } from "../../lib/wire/cbor.ts";
import type { Suite } from "../harness.ts";

const leaves: fc.Arbitrary<CborValue> = fc.oneof(
  fc.boolean(),
  fc.nat(),
  fc.maxSafeNat(),
  fc.string({ unit: "grapheme" }),
  fc.uint8Array({ maxLength: 600 }),
);
const lists = fc.array(leaves, { maxLength: 40 });
const maps = fc.dictionary(fc.string(), fc.oneof(leaves, lists), { noNullPrototype: true });

export const cborSuite: Suite = ({ test }) => {
  test("cbor: whatever is written is read back, and every cut of it is refused", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.oneof(leaves, lists, maps)), (fields) => {
        const bytes = encodeCbor(fields);
        assert.deepEqual({ ...decodeCbor(bytes) }, { ...fields });
        for (let length = 0; length < bytes.byteLength; length += 1 + (length >> 3)) {
          assert.throws(() => decodeCbor(bytes.subarray(0, length)));
        }
      }),
    );
  });

  test("cbor: each number takes the shortest form, undefined fields none", () => {
    const bytes = encodeCbor({
      a: [23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32],
      b: undefined,
    });
    const wanted =
      "a1616188171818" + "18ff190100" + "19ffff1a00010000" + "1affffffff1b0000000100000000";
    assert.equal([...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""), wanted);
  });

  test("cbor: a number that the wire does not hold is misuse", () => {
    for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 64]) {
      assert.throws(() => encodeCbor({ value }), RangeError, /whole numbers/);
    }
  });
};
