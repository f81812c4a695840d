// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { byteLengthOf, createDescriptor, type TensorDescriptor } from "./descriptor.ts";
import { DTYPES, type DType } from "./dtype.ts";

/**
 * A tensor of which the outermost dimension is seen only when its bytes have ended: rows of a known
 * size, as many as come.
 */
export class OpenEnd {
  /** The tensor if as many rows come as may. */
  readonly cap: TensorDescriptor;
  /** Rows that cannot be told apart, and their bytes: one, or a block's where a row is one element. */
  readonly #unitRows: number;
  readonly #unitBytes: number;

  /**
   * @param shape Its first dimension is the most rows that may come; `Infinity` is as many as
   *   {@linkcode Limits.maxTensorBytes} holds, 1 TiB.
   * @throws {TypeError | RangeError} as {@linkcode byteLengthOf}, and `RangeError` for a shape
   *   without dimensions, or rows without bytes.
   */
  constructor(dtype: DType, shape: readonly number[]) {
    const [mostRows, ...row] = shape;
    if (mostRows === undefined) {
      throw new RangeError("An open-ended tensor needs a dimension that is open, found shape []");
    }
    this.#unitRows = row.length === 0 ? (DTYPES[dtype]?.blockElements ?? 1) : 1;
    this.#unitBytes = byteLengthOf(dtype, [this.#unitRows, ...row]);
    const units = Math.floor(DEFAULT_LIMITS.maxTensorBytes / this.#unitBytes);
    if (this.#unitBytes === 0 || units === 0) {
      throw new RangeError(
        `A row of an open-ended tensor takes 1 to ${DEFAULT_LIMITS.maxTensorBytes} bytes, found ${this.#unitBytes}`,
      );
    }
    const isUnbounded = mostRows === Number.POSITIVE_INFINITY;
    this.cap = createDescriptor(dtype, [isUnbounded ? units * this.#unitRows : mostRows, ...row]);
  }

  /**
   * The tensor, now that its bytes have ended.
   *
   * @throws {IntegrityError} at source, when they ended within a row.
   */
  ended(byteLength: number): TensorDescriptor {
    const units = byteLength / this.#unitBytes;
    if (!Number.isInteger(units)) {
      throw new IntegrityError(
        "source",
        `An open-ended tensor takes a multiple of ${this.#unitBytes} bytes, but its source ended after ${byteLength}`,
        { retryable: false, byteOffset: byteLength },
      );
    }
    return createDescriptor(this.cap.dtype, [units * this.#unitRows, ...this.cap.shape.slice(1)]);
  }
}
