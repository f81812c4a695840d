// This module runs in every runtime.

// The primes of XXH32, as the signed 32-bit integers that Math.imul works on.
const P1 = 0x9e3779b1 | 0;
const P2 = 0x85ebca77 | 0;
const P3 = 0xc2b2ae3d | 0;
const P4 = 0x27d4eb2f | 0;
const P5 = 0x165667b1 | 0;

const rotate = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits));

/** An accumulator's next value. Engines inline it; written out by hand it is slower in V8. */
const round = (lane: number, word: number): number =>
  Math.imul(rotate((lane + Math.imul(word, P2)) | 0, 13), P1);

/** The hash of the whole 16-byte stripes before `end`, to which the length is to be added. */
function mixStripes(bytes: Uint8Array, basis: number, end: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, end);
  let a = (basis + P1 + P2) | 0;
  let b = (basis + P2) | 0;
  let c = basis;
  let d = (basis - P1) | 0;
  for (let at = 0; at < end; at += 16) {
    a = round(a, view.getInt32(at, true));
    b = round(b, view.getInt32(at + 4, true));
    c = round(c, view.getInt32(at + 8, true));
    d = round(d, view.getInt32(at + 12, true));
  }
  return (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
}

/**
 * XXH32, the fast checksum of every chunk and frame. It finds faults, not forgeries.
 *
 * Follows the xxHash specification, section "XXH32 algorithm":
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 *
 * @param bytes what to sum, at any alignment.
 * @param seed an unsigned 32-bit number.
 * @returns an unsigned 32-bit number.
 *
 * @example
 * ```ts
 * import { xxh32 } from "headrace";
 *
 * xxh32(new TextEncoder().encode("abc")); // 0x32d153ff
 * ```
 */
export function xxh32(bytes: Uint8Array, seed: number = 0): number {
  const length = bytes.byteLength;
  const basis = seed | 0;
  let at = length - (length % 16);
  let hash = ((at > 0 ? mixStripes(bytes, basis, at) : basis + P5) + length) | 0;
  for (; at + 4 <= length; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    hash = Math.imul(rotate((hash + Math.imul(word, P3)) | 0, 17), P4);
  }
  for (; at < length; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, P5)) | 0, 11), P1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
