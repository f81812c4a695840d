// This module runs in every runtime.
import { DTYPES, type DType, isDType } from "../tensor/dtype.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import {
  bytesOfArray,
  dtypeOfArray,
  isTypedArray,
  type TypedArray,
} from "../tensor/typed_array.ts";
import { BlobSource } from "./blob_source.ts";
import { ByteSource } from "./byte_source.ts";
import { StreamSource } from "./stream_source.ts";

/** Everything that a tensor can be sent from. */
export type TensorInput =
  | TensorSource
  | TypedArray
  | ArrayBuffer
  | Blob
  | ReadableStream<Uint8Array>;

/** What a {@linkcode TensorInput} does not say of itself. */
export interface TensorInputOptions {
  /**
   * What the bytes are. A typed array says it by itself; of a `Uint8Array` it may be any, of a
   * `Uint16Array` also `F16` and `BF16`.
   */
  readonly dtype?: DType;
  /** Row-major dimensions. Default for a typed array: one, with all its elements. */
  readonly shape?: readonly number[];
  /** Of a stream: the first dimension is known at its end, `shape` has the most it may be. */
  readonly openEnded?: boolean;
  /** Of a stream: the most memory for what is not acknowledged, from 8 MiB. Default 32 MiB. */
  readonly replayBytes?: number;
  /** What tells these bytes from others under the same address. Default as the source's class says. */
  readonly version?: SourceVersion;
}

/**
 * Whatever holds a tensor, as a source. A source is given back as it is; nothing is copied, so the
 * bytes must not change while they are sent. A stream is taken over; it cannot be sent twice.
 *
 * @throws {TypeError} for what cannot hold a tensor, for a dtype or shape that is missing or that
 *   the input does not have, and on a machine that is not little-endian.
 * @throws {RangeError} when dtype, shape and length do not agree.
 *
 * @example
 * ```ts
 * import { sourceOf } from "headrace";
 *
 * sourceOf(new Float32Array(6)).descriptor; // F32 [6]
 * sourceOf(new Float32Array(6), { shape: [2, 3] }).descriptor; // F32 [2, 3]
 * const bytes = new Uint8Array(12);
 * sourceOf(bytes, { dtype: "BF16", shape: [2, 3] }).descriptor; // BF16 [2, 3]
 * const stream = new Blob([bytes]).stream();
 * sourceOf(stream, { dtype: "F32", shape: [Infinity, 3], openEnded: true }).descriptor.dtype; // F32
 * ```
 */
export function sourceOf(input: TensorInput, options: TensorInputOptions = {}): TensorSource {
  const { openEnded = false } = options;
  if (isStream(input)) {
    return new StreamSource(input, { ...tensorOf(options), openEnded }, options);
  }
  if (openEnded) throw new TypeError("Only a stream can be open-ended");
  if (isSource(input)) {
    if (options.dtype ?? options.shape ?? options.version) {
      throw new TypeError("A source has a dtype, a shape and a version of its own: leave them out");
    }
    return input;
  }
  const inMemory = memoryTensorOf(input, options);
  if (inMemory) return new ByteSource(inMemory.bytes, inMemory, options.version);
  if (isBlob(input)) return new BlobSource(input, tensorOf(options), options.version);
  throw new TypeError(
    `A tensor comes from a typed array, an ArrayBuffer, a Blob, a ReadableStream of Uint8Array or a TensorSource, found ${kindOf(input)}`,
  );
}

/**
 * The bytes of what is in memory, and what they are; `undefined` for any other input.
 *
 * @throws {TypeError} as {@linkcode sourceOf}.
 */
export function memoryTensorOf(
  input: unknown,
  options: Pick<TensorInputOptions, "dtype" | "shape">,
): (DTypeAndShape & { readonly bytes: Uint8Array }) | undefined {
  if (isTypedArray(input)) return { ...tensorOfArray(input, options), bytes: bytesOfArray(input) };
  if (isArrayBuffer(input)) return { ...tensorOf(options), bytes: new Uint8Array(input) };
  return undefined;
}

/** What bytes do not say of themselves. */
export interface DTypeAndShape {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

function tensorOf({ dtype, shape }: TensorInputOptions): DTypeAndShape {
  if (dtype && shape) return { dtype, shape };
  throw new TypeError(
    "Only a typed array says what it holds: pass dtype and shape beside the input",
  );
}

function tensorOfArray(array: TypedArray, options: TensorInputOptions): DTypeAndShape {
  const own = dtypeOfArray(array);
  const { dtype = own } = options;
  const mayHold =
    dtype === own || own === "U8" || (own === "U16" && (dtype === "F16" || dtype === "BF16"));
  if (!isDType(dtype) || !mayHold) {
    throw new TypeError(`This array holds ${own}, not ${dtype}: pass its bytes if they are that`);
  }
  const { blockBytes, blockElements } = DTYPES[dtype];
  const { shape = [(array.byteLength / blockBytes) * blockElements] } = options;
  return { dtype, shape };
}

function isSource(input: TensorInput): input is TensorSource {
  const { descriptor, version, read } = Object(input) as Partial<TensorSource>;
  return descriptor !== undefined && typeof version === "function" && typeof read === "function";
}

function isStream(input: TensorInput): input is ReadableStream<Uint8Array> {
  return typeof Object(input).getReader === "function";
}

function isArrayBuffer(input: unknown): input is ArrayBuffer {
  return Object.prototype.toString.call(input) === "[object ArrayBuffer]";
}

function isBlob(input: TensorInput): input is Blob {
  const { size, slice } = Object(input) as Partial<Blob>;
  return typeof size === "number" && typeof slice === "function";
}

function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return value.constructor?.name ?? "object";
}
