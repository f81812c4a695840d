// This module runs in every runtime.
import { DTYPES, type DType, isDType } from "./dtype.ts";

/** What a tensor is, apart from its bytes. */
export interface TensorDescriptor {
  readonly dtype: DType;
  /** Row-major dimensions; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** Bytes of the whole tensor. */
  readonly byteLength: number;
}

function checkedProduct(a: number, b: number, what: string): number {
  const product = a * b;
  if (!Number.isSafeInteger(product)) {
    throw new RangeError(`Cannot count the ${what}: ${a} x ${b} is past 2^53 - 1`);
  }
  return product;
}

/**
 * The bytes a tensor of this dtype and shape takes.
 *
 * @throws {TypeError} for an unknown dtype.
 * @throws {RangeError} for a dimension that is not a safe non-negative integer, a product past
 *   2^53 - 1, or a last dimension that a quantised dtype's blocks do not divide.
 *
 * @example
 * ```ts
 * import { byteLengthOf } from "headrace";
 *
 * byteLengthOf("BF16", [4096, 4096]); // 33554432
 * ```
 */
export function byteLengthOf(dtype: DType, shape: readonly number[]): number {
  if (!isDType(dtype)) throw new TypeError(`Unknown dtype ${String(dtype)}`);
  const { blockElements, blockBytes } = DTYPES[dtype];
  let elements = 1;
  // A zero anywhere makes the product zero, but only if no other dimension is nonsense.
  for (const [axis, dimension] of shape.entries()) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw new RangeError(
        `Dimension ${axis} of a shape must be a whole number from 0 to 2^53 - 1, found ${dimension}`,
      );
    }
    elements = checkedProduct(elements, dimension, "elements");
  }
  if (blockElements > 1 && (shape.at(-1) ?? 1) % blockElements !== 0) {
    throw new RangeError(
      `The last dimension of a ${dtype} tensor must be a multiple of ${blockElements}, found ${shape.at(-1) ?? 1}`,
    );
  }
  return checkedProduct(elements / blockElements, blockBytes, "bytes");
}

/**
 * A descriptor whose three parts agree.
 *
 * @param byteLength What was declared; left out, it is computed.
 * @throws {TypeError | RangeError} as {@linkcode byteLengthOf}, and `RangeError` when the declared
 *   length is not what dtype and shape take.
 *
 * @example
 * ```ts
 * import { createDescriptor } from "headrace";
 *
 * createDescriptor("F32", [2, 3]).byteLength; // 24
 * ```
 */
export function createDescriptor(
  dtype: DType,
  shape: readonly number[],
  byteLength?: number,
): TensorDescriptor {
  const needed = byteLengthOf(dtype, shape);
  if (byteLength !== undefined && byteLength !== needed) {
    throw new RangeError(
      `${dtype} [${shape.join(", ")}] takes ${needed} bytes, but ${byteLength} were declared`,
    );
  }
  return { dtype, shape: [...shape], byteLength: needed };
}
