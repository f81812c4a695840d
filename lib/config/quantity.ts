// This module runs in every runtime.

const UNIT_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

const UNIT_MS: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Text that {@linkcode parseByteCount} takes. */
export const SIZE: RegExp = /^[0-9]+(?: ?(?:B|[KMGT]iB))?$/;

/** Text that {@linkcode parseDurationMs} takes. */
export const DURATION: RegExp = /^[0-9]+(?: ?(?:ms|s|min|h|d))?$/;

/** A whole decimal number with one of the units, times that unit; NaN for anything else. */
function measure(text: string, units: Readonly<Record<string, number>>): number {
  const [, digits, unit = ""] = /^([0-9]+)(?: ?([A-Za-z]+))?$/.exec(text) ?? [];
  return Object.hasOwn(units, unit) ? Number(digits) * (units[unit] ?? Number.NaN) : Number.NaN;
}

/**
 * Bytes from text such as `4096`, `64KiB` or `4 MiB`; NaN for anything else. `kB` and `MB` are
 * refused: half of those who write them mean 1000 and half 1024.
 */
export function parseByteCount(text: string): number {
  return measure(text, UNIT_BYTES);
}

/** Milliseconds from text such as `500`, `500ms`, `2s`, `1 min` or `14d`; NaN for anything else. */
export function parseDurationMs(text: string): number {
  return measure(text, UNIT_MS);
}
