// This module runs in every runtime.

const HIGH = 2 ** 32;

/** Writes a safe integer as eight little-endian bytes. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % HIGH, true);
  view.setUint32(at + 4, Math.floor(value / HIGH), true);
}

/**
 * Reads eight little-endian bytes as a number.
 *
 * @returns `NaN` for a value past 2^53 - 1, which the caller refuses in its own words.
 */
export function readU64(view: DataView, at: number): number {
  const value = view.getUint32(at + 4, true) * HIGH + view.getUint32(at, true);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** A `DataView` over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
