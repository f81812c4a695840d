// The stages by themselves: chunk, checksum, compress and frame a stream of bytes; and back.
import {
  AssemblerStream,
  ChecksumStream,
  ChunkerStream,
  CompressorStream,
  createDescriptor,
  DecompressorStream,
  FrameDecoderStream,
  FrameEncoderStream,
  VerifierStream,
} from "headrace";

const tokens = new Int32Array(500_000).map((_, n) => n % 1000);
const tensor = new Blob([tokens]);
const descriptor = createDescriptor("I32", [tokens.length], tensor.size);
const address = { model: "corpus", partition: "default", tensor: "tokens" };

// Every Uint8Array that comes out is one frame: write it to anything that carries bytes.
const frames: ReadableStream<Uint8Array> = tensor
  .stream()
  .pipeThrough(new ChunkerStream({ chunkBytes: 256 * 1024 }))
  .pipeThrough(new ChecksumStream())
  .pipeThrough(new CompressorStream({ thresholdBytes: 4096 }))
  .pipeThrough(new FrameEncoderStream({ address, descriptor }));

let wireBytes = 0;
const counted = frames.pipeThrough(
  new TransformStream<Uint8Array, Uint8Array>({
    transform(frame, controller) {
      wireBytes += frame.byteLength;
      controller.enqueue(frame);
    },
  }),
);

// The mirror: nothing comes out that is not verified.
const decoder = new FrameDecoderStream();
const bytes = counted
  .pipeThrough(decoder)
  .pipeThrough(new DecompressorStream())
  .pipeThrough(new VerifierStream(decoder))
  .pipeThrough(new AssemblerStream());

let received = 0;
for await (const part of bytes) received += part.byteLength;
console.log(`${received} bytes verified, ${wireBytes} on the wire`);
