// Quantities in words.

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;

/** `38.2 MB`. */
export function bytesInWords(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${value < 99.95 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** `41 %`; never 100 before all is there. */
export function percentInWords(part: number, whole: number): string {
  return `${whole === 0 ? 100 : Math.floor((100 * part) / whole)} %`;
}

/** `3 min 20 s`. */
export function timeInWords(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `768 × 3072`; `scalar` without dimensions. */
export const shapeInWords = (shape: readonly number[]): string =>
  shape.length === 0 ? "scalar" : shape.join(" × ");

/** A value of a tensor, in four digits. */
export function numberInWords(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5))
    return value.toExponential(2).replaceAll("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}
