// This module runs in every runtime.

const SAMPLES = 4096;

// Sixteen samples for each cache line that is touched.
const RUN_BYTES = 16;

/**
 * Bits above which a chunk will not shrink by enough to be worth trying. On real fp32, bf16, fp16
 * and uint8 weights, in 2430 chunks of 4 KiB, 64 KiB and 1 MiB, nothing above it gained 5 % from
 * deflate, and everything below it gained at least 1 %.
 */
export const INCOMPRESSIBLE_BITS = 7.75;

/**
 * The order-0 Shannon entropy, in bits a byte, of 4096 bytes spread over the input (all of them
 * when there are fewer): 256 runs of 16 bytes, each at a scattered place in its own part of the
 * input, so that no period in the data, four bytes of a float or 34 of a quantised block, is seen
 * in part only.
 *
 * @returns from 0, all bytes equal, to 8; from 4096 samples, random bytes come out near 7.95.
 */
export function sampledEntropyBits(bytes: Uint8Array): number {
  const length = bytes.byteLength;
  if (length === 0) return 0;
  const counts = new Uint32Array(256);
  const count = (start: number, end: number) => {
    for (let at = start; at < end; at++) {
      const value = bytes[at] as number;
      counts[value] = (counts[value] as number) + 1;
    }
  };
  if (length <= SAMPLES) {
    count(0, length);
  } else {
    const runs = SAMPLES / RUN_BYTES;
    const spread = Math.floor(length / runs) - RUN_BYTES + 1;
    for (let i = 0; i < runs; i++) {
      const start = Math.floor((i * length) / runs) + ((Math.imul(i, 0x9e3779b1) >>> 8) % spread);
      count(start, start + RUN_BYTES);
    }
  }
  const samples = Math.min(length, SAMPLES);
  let sum = 0;
  for (const n of counts) {
    if (n > 0) sum += n * Math.log2(n);
  }
  return Math.log2(samples) - sum / samples;
}

/** Whether compressing the chunk would most likely be time lost. */
export function looksIncompressible(bytes: Uint8Array): boolean {
  return sampledEntropyBits(bytes) >= INCOMPRESSIBLE_BITS;
}
