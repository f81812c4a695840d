// This module runs in every runtime.

const bits = (floats: Uint8Array) =>
  new DataView(floats.buffer, floats.byteOffset, floats.byteLength);

/** Little-endian F32 to BF16 by truncation: the upper half of each float. */
export function truncateToBf16(floats: Uint8Array): Uint8Array {
  const source = bits(floats);
  const result = new Uint8Array(floats.byteLength / 2);
  const target = bits(result);
  for (let at = 0; at < floats.byteLength; at += 4) {
    target.setUint16(at / 2, source.getUint16(at + 2, true), true);
  }
  return result;
}

/** Little-endian F32 to F16, rounded to the nearest, ties to even (IEEE 754). */
export function roundToF16(floats: Uint8Array): Uint8Array {
  const source = bits(floats);
  const result = new Uint8Array(floats.byteLength / 2);
  const target = bits(result);
  for (let at = 0; at < floats.byteLength; at += 4) {
    target.setUint16(at / 2, halfOf(source.getUint32(at, true)), true);
  }
  return result;
}

/** One F32 to F16, both as bits. */
export function halfOf(single: number): number {
  const sign = (single >>> 16) & 0x8000;
  const exponent = (single >>> 23) & 0xff;
  const fraction = single & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200 | (fraction >>> 13));
  const halfExponent = exponent - 127 + 15;
  if (halfExponent >= 31) return sign | 0x7c00;
  if (halfExponent < -10) return sign;
  // A subnormal half has no hidden bit, so the single's moves into the fraction.
  const subnormal = halfExponent <= 0;
  const significand = subnormal ? fraction | 0x800000 : fraction;
  const shift = subnormal ? 14 - halfExponent : 13;
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const up = rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0;
  // A carry out of the fraction lands in the exponent, which is what rounding up means there.
  return sign + (subnormal ? 0 : halfExponent << 10) + kept + up;
}
