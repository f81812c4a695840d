// What does each stage of the pipeline cost by itself?
//
//   node bench/stages.ts [--rounds=7] [--bytes=268435456]
import {
  AssemblerStream,
  ChecksumStream,
  ChunkerStream,
  CompressorStream,
  createDescriptor,
  DecompressorStream,
  FrameDecoderStream,
  FrameEncoderStream,
  type TensorChunk,
  VerifierStream,
} from "../mod.ts";
import { compare, flag, type Sample } from "./lib/compare.ts";
import { contentOf } from "./lib/content.ts";
import { sha256Hex } from "./lib/sha256_hex.ts";

const MiB = 1024 * 1024;
const byteLength = Number(flag("bytes", String(256 * MiB)));
const slice = contentOf("random", MiB);
const descriptor = createDescriptor("U8", [byteLength]);
const address = { model: "bench", partition: "default", tensor: "w" };

/** The tensor's bytes, as one mebibyte again and again. */
function tensorBytes(): Uint8Array[] {
  return Array.from({ length: byteLength / MiB }, () => slice);
}

function streamOf<T>(values: readonly T[]): ReadableStream<T> {
  let next = 0;
  return new ReadableStream<T>(
    {
      pull(controller) {
        if (next === values.length) controller.close();
        else controller.enqueue(values[next++] as T);
      },
    },
    { highWaterMark: 0 },
  );
}

async function collect<T>(stream: ReadableStream<T>): Promise<T[]> {
  const values: T[] = [];
  const reader = stream.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    values.push(read.value);
  }
  return values;
}

/** What each stage works on, made once. */
const chunks = await collect(streamOf(tensorBytes()).pipeThrough(new ChunkerStream()));
const summed = await collect(streamOf(chunks).pipeThrough(new ChecksumStream()));
const encoder = () => new FrameEncoderStream({ address, descriptor });
const frames = await collect(streamOf(summed).pipeThrough(encoder()));

/** For each stage a stream that has gone through it. */
const stages: Record<string, () => ReadableStream<unknown>> = {
  "no stage": () => streamOf(chunks),
  "a TransformStream that does nothing": () =>
    streamOf(chunks).pipeThrough(new TransformStream<TensorChunk, TensorChunk>()),
  ChunkerStream: () => streamOf(tensorBytes()).pipeThrough(new ChunkerStream()),
  "ChecksumStream, XXH32 only": () =>
    streamOf(chunks).pipeThrough(new ChecksumStream({ digest: "none" })),
  "ChecksumStream, and SHA-256": () => streamOf(chunks).pipeThrough(new ChecksumStream()),
  "CompressorStream, on noise": () => streamOf(summed).pipeThrough(new CompressorStream()),
  FrameEncoderStream: () => streamOf(summed).pipeThrough(encoder()),
  FrameDecoderStream: () => streamOf(frames).pipeThrough(new FrameDecoderStream()),
  "FrameDecoderStream, VerifierStream": () => {
    const decoder = new FrameDecoderStream();
    return streamOf(frames).pipeThrough(decoder).pipeThrough(new VerifierStream(decoder));
  },
  "DecompressorStream, of what is raw": () =>
    streamOf(chunks).pipeThrough(new DecompressorStream()),
  AssemblerStream: () => streamOf(chunks).pipeThrough(new AssemblerStream()),
};

async function run(stage: () => ReadableStream<unknown>): Promise<Sample> {
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  const reader = stage().getReader();
  while (!(await reader.read()).done);
  const { user, system } = process.cpuUsage(startCpu);
  return {
    bytes: byteLength,
    seconds: (performance.now() - startMs) / 1000,
    cpuSendSeconds: (user + system) / 1e6,
    cpuReceiveSeconds: 0,
  };
}

/** What all stages together deliver must be what went in. */
async function wholePipeline(): Promise<string> {
  const decoder = new FrameDecoderStream();
  const bytes = streamOf(tensorBytes())
    .pipeThrough(new ChunkerStream())
    .pipeThrough(new ChecksumStream())
    .pipeThrough(new CompressorStream())
    .pipeThrough(encoder())
    .pipeThrough(decoder)
    .pipeThrough(new DecompressorStream())
    .pipeThrough(new VerifierStream(decoder))
    .pipeThrough(new AssemblerStream());
  return sha256Hex(...(await collect(bytes)));
}

const variants = Object.entries(stages).map(([name, stage]) => ({ name, run: () => run(stage) }));
await compare({
  name: "stages",
  rounds: Number(flag("rounds", "7")),
  variants: variants.map((variant, index) => {
    if (index === 0) return { ...variant, verify: async () => sha256Hex(...tensorBytes()) };
    return index === 1 ? { ...variant, verify: wholePipeline } : variant;
  }),
  floor: "a TransformStream that does nothing",
  about:
    `${byteLength / MiB} MiB in 1 MiB pieces in one process, each stage alone on what the one before ` +
    'gave, read and dropped; all cost is under "send". Floor: an empty TransformStream.',
});
