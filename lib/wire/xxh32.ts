// This module runs in every runtime.

// The primes of XXH32, as the signed 32-bit integers that Math.imul works on.
const P1 = 0x9e3779b1 | 0;
const P2 = 0x85ebca77 | 0;
const P3 = 0xc2b2ae3d | 0;
const P4 = 0x27d4eb2f | 0;
const P5 = 0x165667b1 | 0;

// From this length on, the faster loop gains more than asking for the byte order costs.
const WORDS_MIN_BYTES = 1024;

/** The four accumulators of the call at hand. */
const lanes = new Int32Array(4);

const isLittleEndian: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Takes in pairs of 16-byte stripes as words: two rounds a turn is a third faster than one. */
function mixWords(words: Int32Array): void {
  let a = lanes[0] as number;
  let b = lanes[1] as number;
  let c = lanes[2] as number;
  let d = lanes[3] as number;
  const end = words.length & ~7;
  for (let i = 0; i < end; i += 8) {
    a = (a + Math.imul(words[i] as number, P2)) | 0;
    a = Math.imul((a << 13) | (a >>> 19), P1);
    b = (b + Math.imul(words[i + 1] as number, P2)) | 0;
    b = Math.imul((b << 13) | (b >>> 19), P1);
    c = (c + Math.imul(words[i + 2] as number, P2)) | 0;
    c = Math.imul((c << 13) | (c >>> 19), P1);
    d = (d + Math.imul(words[i + 3] as number, P2)) | 0;
    d = Math.imul((d << 13) | (d >>> 19), P1);
    a = (a + Math.imul(words[i + 4] as number, P2)) | 0;
    a = Math.imul((a << 13) | (a >>> 19), P1);
    b = (b + Math.imul(words[i + 5] as number, P2)) | 0;
    b = Math.imul((b << 13) | (b >>> 19), P1);
    c = (c + Math.imul(words[i + 6] as number, P2)) | 0;
    c = Math.imul((c << 13) | (c >>> 19), P1);
    d = (d + Math.imul(words[i + 7] as number, P2)) | 0;
    d = Math.imul((d << 13) | (d >>> 19), P1);
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}

/** Takes in 16-byte stripes at any alignment on any machine. */
function mixStripes(view: DataView, start: number, end: number): void {
  let a = lanes[0] as number;
  let b = lanes[1] as number;
  let c = lanes[2] as number;
  let d = lanes[3] as number;
  for (let at = start; at < end; at += 16) {
    a = (a + Math.imul(view.getInt32(at, true), P2)) | 0;
    a = Math.imul((a << 13) | (a >>> 19), P1);
    b = (b + Math.imul(view.getInt32(at + 4, true), P2)) | 0;
    b = Math.imul((b << 13) | (b >>> 19), P1);
    c = (c + Math.imul(view.getInt32(at + 8, true), P2)) | 0;
    c = Math.imul((c << 13) | (c >>> 19), P1);
    d = (d + Math.imul(view.getInt32(at + 12, true), P2)) | 0;
    d = Math.imul((d << 13) | (d >>> 19), P1);
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}

function merge(): number {
  const a = lanes[0] as number;
  const b = lanes[1] as number;
  const c = lanes[2] as number;
  const d = lanes[3] as number;
  const low = ((a << 1) | (a >>> 31)) + ((b << 7) | (b >>> 25));
  const high = ((c << 12) | (c >>> 20)) + ((d << 18) | (d >>> 14));
  return (low + high) | 0;
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
  let hash = (basis + P5) | 0;
  let at = 0;
  if (length >= 16) {
    lanes[0] = basis + P1 + P2;
    lanes[1] = basis + P2;
    lanes[2] = basis;
    lanes[3] = basis - P1;
    if (length >= WORDS_MIN_BYTES && bytes.byteOffset % 4 === 0 && isLittleEndian) {
      at = length - (length % 32);
      mixWords(new Int32Array(bytes.buffer, bytes.byteOffset, at / 4));
    }
    const end = length - (length % 16);
    if (at < end) {
      mixStripes(new DataView(bytes.buffer, bytes.byteOffset, length), at, end);
    }
    hash = merge();
    at = end;
  }
  hash = (hash + length) | 0;
  for (; at + 4 <= length; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    hash = (hash + Math.imul(word, P3)) | 0;
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
