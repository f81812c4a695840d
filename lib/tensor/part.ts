// This module runs in every runtime.
import type { LeafRange } from "./bitmap.ts";
import type { TensorDescriptor } from "./descriptor.ts";
import { LEAF_BYTES } from "./leaf.ts";

/** The part of a tensor that is wanted: some of its bytes, or of its outermost dimension. */
export interface TensorPart {
  /** From the first byte to before the second. */
  readonly bytes?: readonly [number, number] | undefined;
  /** From the first row to before the second; a row is one of the outermost dimension. */
  readonly rows?: readonly [number, number] | undefined;
}

/** A part as bytes of the tensor, and the leaves that hold them. */
export interface PartBytes {
  readonly from: number;
  readonly end: number;
  readonly leaves: LeafRange;
}

/**
 * Where in a tensor a part lies; `undefined` when all of it is wanted.
 *
 * @throws {TypeError} for bytes and rows at once, or rows of a tensor that has none of whole bytes.
 * @throws {RangeError} for a part that is empty or not within the tensor.
 *
 * @example
 * ```ts
 * import { createDescriptor, partBytes } from "headrace";
 *
 * const part = partBytes(createDescriptor("F32", [1000, 256]), { rows: [10, 12] });
 * console.log(part?.from, part?.end); // 10240 12288
 * ```
 */
export function partBytes(descriptor: TensorDescriptor, part: TensorPart): PartBytes | undefined {
  const { bytes, rows } = part;
  const { shape, byteLength } = descriptor;
  if (bytes === undefined && rows === undefined) return undefined;
  if (bytes !== undefined && rows !== undefined) {
    throw new TypeError("Either bytes or rows of a tensor can be asked for, not both");
  }
  let [from, end] = bytes ?? (rows as readonly [number, number]);
  let most = byteLength;
  let unit = "bytes";
  if (rows !== undefined) {
    const [rowTotal] = shape;
    const rowBytes = rowTotal ? byteLength / rowTotal : Number.NaN;
    if (rowTotal === undefined || !Number.isInteger(rowBytes)) {
      throw new TypeError(`A tensor of shape [${shape}] and ${byteLength} bytes has no rows`);
    }
    most = rowTotal;
    unit = "rows";
    checkSpan(from, end, most, unit);
    from *= rowBytes;
    end *= rowBytes;
  } else {
    checkSpan(from, end, most, unit);
  }
  const first = Math.floor(from / LEAF_BYTES);
  return { from, end, leaves: { first, count: Math.ceil(end / LEAF_BYTES) - first } };
}

function checkSpan(from: number, end: number, most: number, unit: string): void {
  const isWithin = Number.isSafeInteger(from) && Number.isSafeInteger(end) && from >= 0;
  if (isWithin && from < end && end <= most) return;
  throw new RangeError(`Cannot take ${unit} ${from} to before ${end}: the tensor has ${most}`);
}
