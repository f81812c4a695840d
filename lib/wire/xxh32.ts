// This module runs in every runtime.

// The primes of XXH32, as the signed 32-bit integers that Math.imul works on.
const P1 = 0x9e3779b1 | 0;
const P2 = 0x85ebca77 | 0;
const P3 = 0xc2b2ae3d | 0;
const P4 = 0x27d4eb2f | 0;
const P5 = 0x165667b1 | 0;

const littleEndian = (): boolean => new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The 16-byte stripes of an input of at least 16 bytes, merged into one word. */
function mixAligned(bytes: Uint8Array, seed: number, stripes: number): number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, stripes * 4);
  let a = (seed + P1 + P2) | 0;
  let b = (seed + P2) | 0;
  let c = seed;
  let d = (seed - P1) | 0;
  for (let i = 0; i < words.length; i += 4) {
    a = (a + Math.imul(words[i] as number, P2)) | 0;
    b = (b + Math.imul(words[i + 1] as number, P2)) | 0;
    c = (c + Math.imul(words[i + 2] as number, P2)) | 0;
    d = (d + Math.imul(words[i + 3] as number, P2)) | 0;
    a = Math.imul((a << 13) | (a >>> 19), P1);
    b = Math.imul((b << 13) | (b >>> 19), P1);
    c = Math.imul((c << 13) | (c >>> 19), P1);
    d = Math.imul((d << 13) | (d >>> 19), P1);
  }
  return merge(a, b, c, d);
}

/** The same, for views that do not begin at a multiple of four or machines that are big-endian. */
function mixUnaligned(view: DataView, seed: number, stripes: number): number {
  let a = (seed + P1 + P2) | 0;
  let b = (seed + P2) | 0;
  let c = seed;
  let d = (seed - P1) | 0;
  const end = stripes * 16;
  for (let at = 0; at < end; at += 16) {
    a = (a + Math.imul(view.getInt32(at, true), P2)) | 0;
    b = (b + Math.imul(view.getInt32(at + 4, true), P2)) | 0;
    c = (c + Math.imul(view.getInt32(at + 8, true), P2)) | 0;
    d = (d + Math.imul(view.getInt32(at + 12, true), P2)) | 0;
    a = Math.imul((a << 13) | (a >>> 19), P1);
    b = Math.imul((b << 13) | (b >>> 19), P1);
    c = Math.imul((c << 13) | (c >>> 19), P1);
    d = Math.imul((d << 13) | (d >>> 19), P1);
  }
  return merge(a, b, c, d);
}

function merge(a: number, b: number, c: number, d: number): number {
  return (
    (((a << 1) | (a >>> 31)) +
      ((b << 7) | (b >>> 25)) +
      ((c << 12) | (c >>> 20)) +
      ((d << 18) | (d >>> 14))) |
    0
  );
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
  const stripes = length >>> 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  let hash = ((seed | 0) + P5) | 0;
  if (stripes > 0) {
    hash =
      bytes.byteOffset % 4 === 0 && littleEndian()
        ? mixAligned(bytes, seed | 0, stripes)
        : mixUnaligned(view, seed | 0, stripes);
  }
  hash = (hash + length) | 0;
  let at = stripes * 16;
  for (; at + 4 <= length; at += 4) {
    hash = (hash + Math.imul(view.getInt32(at, true), P3)) | 0;
    hash = Math.imul((hash << 17) | (hash >>> 15), P4);
  }
  for (; at < length; at++) {
    hash = (hash + Math.imul(bytes[at] as number, P5)) | 0;
    hash = Math.imul((hash << 11) | (hash >>> 21), P1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
