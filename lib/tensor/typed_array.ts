// This module runs in every runtime.
import { checkByteOrder } from "./byte_order.ts";
import { DTYPES, type DType, isDType } from "./dtype.ts";

/** A `Float16Array`, as far as it is used here: older runtimes and compilers do not know the name. */
export interface HalfArray extends ArrayBufferView<ArrayBufferLike> {
  readonly length: number;
  readonly BYTES_PER_ELEMENT: number;
  [index: number]: number;
  /** Its elements in order. */
  [Symbol.iterator](): Iterator<number>;
}

/** The arrays that hold elements of a dtype. `DataView` and `ArrayBuffer` do not say of which. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | HalfArray;

interface ArrayTypes {
  F64: Float64Array;
  F32: Float32Array;
  F16: HalfArray;
  BF16: Uint16Array;
  I64: BigInt64Array;
  I32: Int32Array;
  I16: Int16Array;
  I8: Int8Array;
  U64: BigUint64Array;
  U32: Uint32Array;
  U16: Uint16Array;
}

/** The array that {@linkcode typedArrayOf} gives for a dtype; `Uint8Array` where no other fits. */
export type TypedArrayOf<D extends DType> = {
  [K in D]: K extends keyof ArrayTypes ? ArrayTypes[K] : Uint8Array;
}[D];

/** Keyed by the name that an array gives itself, which is the same in every realm and subclass. */
const DTYPE_BY_ARRAY: ReadonlyMap<unknown, DType> = new Map([
  ["Float64Array", "F64"],
  ["Float32Array", "F32"],
  ["Float16Array", "F16"],
  ["BigInt64Array", "I64"],
  ["Int32Array", "I32"],
  ["Int16Array", "I16"],
  ["Int8Array", "I8"],
  ["BigUint64Array", "U64"],
  ["Uint32Array", "U32"],
  ["Uint16Array", "U16"],
  ["Uint8Array", "U8"],
  ["Uint8ClampedArray", "U8"],
]);

/** Whether the value is an array whose elements have a dtype. */
export function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && DTYPE_BY_ARRAY.has(arrayName(value));
}

/**
 * The dtype of a typed array's elements. Arrays of bytes are `U8`, of whatever the bytes may be.
 *
 * @throws {TypeError} for what does not say what its elements are, a `DataView` or an `ArrayBuffer`
 *   among them, and on a machine that is not little-endian.
 *
 * @example
 * ```ts
 * import { dtypeOfArray } from "headrace";
 *
 * dtypeOfArray(new Float32Array(4)); // "F32"
 * dtypeOfArray(new BigInt64Array(4)); // "I64"
 * ```
 */
export function dtypeOfArray(view: ArrayBufferView): DType {
  const dtype = ArrayBuffer.isView(view) ? DTYPE_BY_ARRAY.get(arrayName(view)) : undefined;
  if (dtype === undefined) {
    throw new TypeError(
      `Only a typed array has a dtype of its own, found ${arrayName(view) ?? typeof view}`,
    );
  }
  if (DTYPES[dtype].blockBytes > 1) checkByteOrder();
  return dtype;
}

/**
 * A tensor's bytes as the typed array of its dtype. The array lies over the same memory; only bytes
 * that do not begin at a whole element are copied.
 *
 * What JavaScript has no numbers for stays as it is: `BF16` gives its 16 bits as a `Uint16Array`,
 * and so does `F16` where the runtime has no `Float16Array`; `BOOL`, the 8-bit floats and the
 * quantised dtypes' blocks give bytes.
 *
 * @throws {TypeError} for an unknown dtype, and on a machine that is not little-endian.
 * @throws {RangeError} for bytes that are not a whole number of elements or blocks.
 *
 * @example
 * ```ts
 * import { typedArrayOf } from "headrace";
 *
 * const bytes = new Uint8Array([0, 0, 128, 63, 0, 0, 0, 64]);
 * console.log(typedArrayOf("F32", bytes)); // Float32Array(2) [ 1, 2 ]
 * ```
 */
export function typedArrayOf<D extends DType>(dtype: D, bytes: Uint8Array): TypedArrayOf<D> {
  if (!isDType(dtype)) throw new TypeError(`Unknown dtype ${String(dtype)}`);
  const { blockBytes } = DTYPES[dtype as DType];
  if (bytes.byteLength % blockBytes !== 0) {
    throw new RangeError(
      `A ${dtype} array takes a multiple of ${blockBytes} bytes, found ${bytes.byteLength}`,
    );
  }
  const Elements = arrayTypeOf(dtype);
  if (Elements.BYTES_PER_ELEMENT > 1) checkByteOrder();
  const isAligned = bytes.byteOffset % Elements.BYTES_PER_ELEMENT === 0;
  const { buffer, byteOffset, byteLength } = isAligned ? bytes : new Uint8Array(bytes);
  return new Elements(
    buffer,
    byteOffset,
    byteLength / Elements.BYTES_PER_ELEMENT,
  ) as unknown as TypedArrayOf<D>;
}

/** The bytes of a typed array, over the same memory. */
export function bytesOfArray({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

interface ArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): ArrayBufferView;
}

function arrayTypeOf(dtype: DType): ArrayType {
  switch (dtype) {
    case "F64":
      return Float64Array;
    case "F32":
      return Float32Array;
    case "F16":
      return (globalThis as { Float16Array?: ArrayType }).Float16Array ?? Uint16Array;
    case "BF16":
    case "U16":
      return Uint16Array;
    case "I64":
      return BigInt64Array;
    case "I32":
      return Int32Array;
    case "I16":
      return Int16Array;
    case "I8":
      return Int8Array;
    case "U64":
      return BigUint64Array;
    case "U32":
      return Uint32Array;
    default:
      return Uint8Array;
  }
}

function arrayName(value: unknown): string | undefined {
  return (value as { [Symbol.toStringTag]?: string } | null | undefined)?.[Symbol.toStringTag];
}
