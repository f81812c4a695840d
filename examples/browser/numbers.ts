// A tensor's values as numbers, and a picture of them: pure functions over bytes.
import { type DType, isDType, typedArrayOf } from "headrace";
import type { Picture } from "./messages.ts";

const BINS = 48;
const MOST_ROWS = 64;
const MOST_COLUMNS = 160;

/** The values; `undefined` for dtypes whose bytes are no plain numbers. */
export function numbersOf(dtype: string, bytes: Uint8Array): ArrayLike<number> | undefined {
  if (!isDType(dtype) || !/^(F64|F32|F16|BF16|[IU](8|16|32|64)|BOOL)$/.test(dtype))
    return undefined;
  const values = typedArrayOf(dtype as DType, bytes);
  if (dtype === "BF16") {
    // The upper half of a 32-bit float.
    const words = Uint32Array.from(values as Uint16Array, (half) => half << 16);
    return new Float32Array(words.buffer);
  }
  if (dtype === "F16" && values instanceof Uint16Array) return Float32Array.from(values, ofHalf);
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    return Float64Array.from(values, Number);
  }
  return values as ArrayLike<number>;
}

/** For browsers without `Float16Array`. */
function ofHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * 2 ** (exponent - 25) * (1024 + fraction);
}

/** The rows and columns in which a tensor is drawn: its last dimension runs to the right. */
export function gridOf(shape: readonly number[]): { rows: number; columns: number } {
  const count = shape.reduce((product, size) => product * size, 1);
  if (shape.length < 2) {
    // One row would be a hairline: a vector is broken into lines.
    const columns = Math.max(1, Math.ceil(Math.sqrt(count * 2.5)));
    return { rows: Math.max(1, Math.ceil(count / columns)), columns };
  }
  // Kernels of 3 x 3 and the like are columns of single pixels: those go to the right together.
  let columns = 1;
  let at = shape.length;
  while (at > 1 && columns < 16) columns *= shape[--at] as number;
  return { rows: Math.max(1, count / Math.max(1, columns)), columns: Math.max(1, columns) };
}

/** Sums up the values. */
export function pictureOf(values: ArrayLike<number>, shape: readonly number[]): Picture {
  let [min, max, sum, squares, strange] = [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    0,
    0,
    0,
  ];
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (!Number.isFinite(value)) {
      strange++;
      continue;
    }
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    squares += value * value;
  }
  const count = values.length;
  const finite = count - strange;
  if (finite === 0) [min, max] = [0, 0];
  const mean = finite === 0 ? 0 : sum / finite;
  const deviation = finite === 0 ? 0 : Math.sqrt(Math.max(0, squares / finite - mean * mean));
  const histogram = histogramOf(values, min, max);
  return { count, min, max, mean, deviation, strange, histogram, map: mapOf(values, shape) };
}

function histogramOf(values: ArrayLike<number>, min: number, max: number): number[] {
  const histogram = new Array<number>(BINS).fill(0);
  const scale = max > min ? BINS / (max - min) : 0;
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (!Number.isFinite(value)) continue;
    const bin = Math.min(BINS - 1, Math.floor((value - min) * scale));
    histogram[bin] = (histogram[bin] as number) + 1;
  }
  return histogram;
}

function mapOf(values: ArrayLike<number>, shape: readonly number[]): Picture["map"] {
  const grid = gridOf(shape);
  const rows = Math.min(MOST_ROWS, grid.rows);
  const columns = Math.min(MOST_COLUMNS, grid.columns);
  const sums = new Float64Array(rows * columns);
  const counts = new Uint32Array(rows * columns);
  for (let at = 0; at < values.length; at++) {
    const row = Math.floor((Math.floor(at / grid.columns) * rows) / grid.rows);
    const column = Math.floor(((at % grid.columns) * columns) / grid.columns);
    const cell = row * columns + column;
    const value = values[at] as number;
    if (!Number.isFinite(value)) continue;
    sums[cell] = (sums[cell] as number) + value;
    counts[cell] = (counts[cell] as number) + 1;
  }
  return {
    rows,
    columns,
    means: Float32Array.from(sums, (sum, cell) => sum / (counts[cell] || 1)),
  };
}
