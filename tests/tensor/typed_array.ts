import { assert } from "chai";
import { checkByteOrder } from "../../lib/tensor/byte_order.ts";
import { DTYPES, type DType } from "../../lib/tensor/dtype.ts";
import {
  bytesOfArray,
  dtypeOfArray,
  isTypedArray,
  type TypedArray,
  typedArrayOf,
} from "../../lib/tensor/typed_array.ts";
import type { Suite } from "../harness.ts";

type HalfArrayType = new (values: readonly number[]) => TypedArray;
const Half = (globalThis as { Float16Array?: HalfArrayType }).Float16Array;

/** What each array holds, and as what it comes back. */
const ARRAYS: readonly [array: TypedArray, dtype: DType][] = [
  [Float64Array.of(1.5, -2), "F64"],
  [Float32Array.of(1.5, -2), "F32"],
  [BigInt64Array.of(-3n, 2n ** 62n), "I64"],
  [Int32Array.of(-3, 2 ** 30), "I32"],
  [Int16Array.of(-3, 300), "I16"],
  [Int8Array.of(-3, 100), "I8"],
  [BigUint64Array.of(3n, 2n ** 63n), "U64"],
  [Uint32Array.of(3, 2 ** 31), "U32"],
  [Uint16Array.of(3, 65_535), "U16"],
  [Uint8Array.of(3, 255), "U8"],
];

export const typedArraySuite: Suite = ({ test }) => {
  test("typed array: each kind has its dtype, and comes back from its bytes as it was", () => {
    for (const [array, dtype] of ARRAYS) {
      assert.equal(dtypeOfArray(array), dtype);
      assert.isTrue(isTypedArray(array));
      const back = typedArrayOf(dtype, bytesOfArray(array));
      assert.deepEqual(back as unknown, array);
      assert.equal(back.buffer, array.buffer, "nothing is copied");
    }
    assert.equal(dtypeOfArray(Uint8ClampedArray.of(1)), "U8");
  });

  test("typed array: a part of a buffer is that part, copied only where an element would lie across", () => {
    const bytes = new Uint8Array(24);
    new DataView(bytes.buffer).setFloat32(8, 7.25, true);
    const aligned = typedArrayOf("F32", bytes.subarray(8, 16));
    assert.deepEqual([...aligned], [7.25, 0]);
    assert.equal(aligned.buffer, bytes.buffer);
    bytes.copyWithin(9, 8, 16);
    const copied = typedArrayOf("F32", bytes.subarray(9, 17));
    assert.deepEqual([...copied], [7.25, 0]);
    assert.notEqual(copied.buffer, bytes.buffer);
    assert.deepEqual([...bytesOfArray(aligned.subarray(1))], [...bytes.subarray(12, 16)]);
  });

  test("typed array: half floats are numbers where the runtime has them, else their bits", () => {
    const bits = Uint16Array.of(0x3c00, 0xc000); // 1 and -2
    const values = typedArrayOf("F16", bytesOfArray(bits));
    assert.deepEqual([...values], Half ? [1, -2] : [0x3c00, 0xc000]);
    if (Half) assert.equal(dtypeOfArray(new Half([1])), "F16");
  });

  test("typed array: what JavaScript has no numbers for comes as bits and bytes", () => {
    const bits = Uint16Array.of(0x3f80, 0x4000);
    assert.deepEqual(typedArrayOf("BF16", bytesOfArray(bits)), bits);
    for (const dtype of Object.keys(DTYPES) as DType[]) {
      if (!/^(BOOL|F8_|Q)/.test(dtype)) continue;
      const bytes = new Uint8Array(2 * DTYPES[dtype].blockBytes).fill(7);
      assert.deepEqual(typedArrayOf(dtype, bytes) as unknown, bytes, dtype);
    }
  });

  test("typed array: refuses what has no elements, partial elements, and a big-endian machine", () => {
    for (const value of [new DataView(new ArrayBuffer(4)), new ArrayBuffer(4), [1], "1", null]) {
      assert.isFalse(isTypedArray(value));
      assert.throws(() => dtypeOfArray(value as never), TypeError, /typed array/);
    }
    assert.throws(() => dtypeOfArray(new ArrayBuffer(4) as never), TypeError, /ArrayBuffer$/);
    assert.throws(() => typedArrayOf("F32", new Uint8Array(7)), RangeError, /multiple of 4.*7/);
    assert.throws(() => typedArrayOf("Q4_0", new Uint8Array(19)), RangeError, /multiple of 18/);
    assert.throws(() => typedArrayOf("F7" as DType, new Uint8Array(7)), TypeError, /F7/);
    checkByteOrder();
    assert.throws(() => checkByteOrder(Uint8Array.of(0, 1)), TypeError, /big-endian/);
  });
};
