// What does each codec cost, and what does it save, on real weights?
//
//   node bench/codecs.ts [--rounds=7]
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { type Compression, createDeflate, encodeChunk, none, sampledEntropyBits } from "../mod.ts";
import { compare, flag, type Sample } from "./lib/compare.ts";
import { contentOf, modelBytes, upperHalves } from "./lib/content.ts";
import { sha256Hex } from "./lib/sha256_hex.ts";

const CHUNK_BYTES = 1024 * 1024;
const CHUNKS = 10;
const FACE_MODEL = "../node_modules/@vladmandic/face-api/model/face_recognition_model.bin";

const fp32 = modelBytes();
const contents: Record<string, Uint8Array> = {
  fp32,
  bf16: upperHalves(fp32),
  uint8: readFileSync(new URL(FACE_MODEL, import.meta.url)),
  random: contentOf("random", CHUNKS * CHUNK_BYTES),
};

const deflateRaw = promisify(zlib.deflateRaw);
const inflateRaw = promisify(zlib.inflateRaw);

const codecs: Record<string, Compression> = {
  "zlib, level 1": {
    name: "zlib",
    compress: (bytes) => deflateRaw(bytes, { level: 1 }),
    decompress: (bytes) => inflateRaw(bytes),
  },
  none,
  "deflate (default)": createDeflate(),
  "deflate, level 6, all repeats": createDeflate({ level: 6, strategy: "default" }),
};

interface Trip {
  readonly sample: Sample;
  readonly encodedBytes: number;
  readonly arrived: Uint8Array;
}

/** Encodes and decodes every chunk, one after the other. */
async function roundTrip(bytes: Uint8Array, codec: Compression, asSession: boolean): Promise<Trip> {
  const encoded: { codec: string; bytes: Uint8Array; rawBytes: number }[] = [];
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) {
    const raw = bytes.subarray(at, at + CHUNK_BYTES);
    const chunk = asSession
      ? await encodeChunk(raw, { codec, thresholdBytes: 4096 })
      : { codec: codec.name, bytes: await codec.compress(raw) };
    encoded.push({ ...chunk, rawBytes: raw.byteLength });
  }
  const encodeCpu = process.cpuUsage(startCpu);
  const middleCpu = process.cpuUsage();
  const decoded: Uint8Array[] = [];
  for (const chunk of encoded) {
    const own = chunk.codec === codec.name ? codec : none;
    decoded.push(await own.decompress(chunk.bytes, chunk.rawBytes));
  }
  const decodeCpu = process.cpuUsage(middleCpu);
  return {
    sample: {
      bytes: bytes.byteLength,
      seconds: (performance.now() - startMs) / 1000,
      cpuSendSeconds: (encodeCpu.user + encodeCpu.system) / 1e6,
      cpuReceiveSeconds: (decodeCpu.user + decodeCpu.system) / 1e6,
    },
    encodedBytes: encoded.reduce((sum, chunk) => sum + chunk.bytes.byteLength, 0),
    arrived: Buffer.concat(decoded),
  };
}

for (const [content, whole] of Object.entries(contents)) {
  const bytes = whole.subarray(0, CHUNKS * CHUNK_BYTES);
  const ways = Object.entries(codecs).map(([name, codec]) => ({ name, codec, asSession: false }));
  ways.push({ name: "as a session uses it", codec: createDeflate(), asSession: true });
  const variants = [];
  for (const { name, codec, asSession } of ways) {
    const { encodedBytes } = await roundTrip(bytes, codec, asSession);
    const saving = (100 * (1 - encodedBytes / bytes.byteLength)).toFixed(1);
    variants.push({
      name: `${name}: saves ${saving} %`,
      run: async () => (await roundTrip(bytes, codec, asSession)).sample,
      verify: async () => sha256Hex((await roundTrip(bytes, codec, asSession)).arrived),
    });
  }
  await compare({
    name: `codecs-${content}`,
    rounds: Number(flag("rounds", "7")),
    variants,
    floor: variants[0]?.name ?? "",
    about:
      `${content}, ${sampledEntropyBits(bytes).toFixed(2)} bits a byte, in 1 MiB chunks; encoding ` +
      'is under "send", decoding under "receive". Floor: node:zlib as it comes, at level 1.',
  });
}
