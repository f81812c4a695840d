import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { OutputKind } from "../checkpoint/checkpoint_store.ts";
import { safeFileName } from "../checkpoint/file_name.ts";
import { IntegrityError } from "../errors.ts";
import { encodeHeader } from "../formats/safetensors/encode_header.ts";
import { parseHeader } from "../formats/safetensors/header.ts";
import {
  type AddressPattern,
  HEADER_TENSOR,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "../tensor/address.ts";
import type { ListingEntry } from "../wire/listing.ts";
import { UsageError } from "./describe_error.ts";

/** A tensor and its place in a file. */
export interface PlannedPiece {
  readonly entry: ListingEntry;
  readonly fileOffset: number;
}

/** A file that a pull puts together. */
export interface PlannedFile {
  readonly fileName: string;
  readonly byteLength: number;
  /** Bytes at the beginning that are known already: a safetensors header. */
  readonly front: Uint8Array;
  readonly frontAddress: TensorAddress;
  readonly pieces: readonly PlannedPiece[];
}

/** A file or a folder of files that is finished as one. */
export interface PlannedOutput {
  readonly path: string;
  readonly kind: OutputKind;
  readonly files: readonly PlannedFile[];
}

/** Fetches a raw header. */
export type HeaderReader = (entry: ListingEntry) => Promise<Uint8Array>;

const NO_FRONT: Uint8Array = new Uint8Array();

/** Lays out what was listed: whole files where the pattern names no tensors, a file a tensor otherwise. */
export async function planOutputs(
  entries: readonly ListingEntry[],
  pattern: AddressPattern,
  outputPath: string | undefined,
  readHeader: HeaderReader,
): Promise<PlannedOutput[]> {
  const models = groupBy(entries, (entry) => entry.address.model);
  const plans: { model: string; files: PlannedFile[] }[] = [];
  for (const [model, ofModel] of models) {
    const files =
      pattern.tensor === "*"
        ? await planWholeFiles(ofModel, readHeader)
        : ofModel.map((entry) => planSingleTensor(entry));
    plans.push({ model, files: withDistinctNames(files) });
  }
  const fileTotal = plans.reduce((sum, plan) => sum + plan.files.length, 0);
  const [only] = plans;
  if (fileTotal === 1 && only)
    return [await planSingleFile(only.files[0] as PlannedFile, outputPath)];
  return plans.map(({ model, files }) => {
    const folder = outputPath ?? (plans.length === 1 ? safeFileName(model) : ".");
    const path = plans.length === 1 ? folder : join(folder, safeFileName(model));
    return { path: resolve(path), kind: "folder", files };
  });
}

async function planSingleFile(
  file: PlannedFile,
  outputPath: string | undefined,
): Promise<PlannedOutput> {
  const wanted = outputPath ?? safeFileName(file.fileName);
  const isFolder = /[/\\]$/.test(wanted) || (await isExistingFolder(wanted));
  const path = resolve(isFolder ? join(wanted, safeFileName(file.fileName)) : wanted);
  return { path, kind: "file", files: [{ ...file, fileName: basename(path) }] };
}

async function isExistingFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * Tensors of one name in several partitions get files that name the partition too.
 *
 * @throws {UsageError} when that does not tell them apart.
 */
function withDistinctNames(files: readonly PlannedFile[]): PlannedFile[] {
  const isTaken = takenNames(files);
  const named = files.map((file) => {
    const { address } = file.pieces[0]?.entry ?? {};
    const isSingle = address && file.fileName === singleName(address);
    if (!isSingle || !isTaken(file)) return file;
    return { ...file, fileName: `${address.partition}.${file.fileName}` };
  });
  const clash = named.find(takenNames(named));
  if (!clash) return named;
  throw new UsageError(
    `Several files would be called ${safeFileName(clash.fileName)}: name one partition, or one tensor, at a time`,
  );
}

/** Whether more than one of the files would have the name of this one. */
function takenNames(files: readonly PlannedFile[]): (file: PlannedFile) => boolean {
  const counts = new Map<string, number>();
  const nameOf = ({ fileName }: PlannedFile) => safeFileName(fileName);
  for (const file of files) counts.set(nameOf(file), (counts.get(nameOf(file)) ?? 0) + 1);
  return (file) => (counts.get(nameOf(file)) ?? 0) > 1;
}

const singleName = ({ tensor }: TensorAddress): string => `${tensor}.safetensors`;

async function planWholeFiles(
  entries: readonly ListingEntry[],
  readHeader: HeaderReader,
): Promise<PlannedFile[]> {
  const files: PlannedFile[] = [];
  const byPartition = groupBy(entries, (entry) => entry.address.partition);
  for (const [partition, ofPartition] of byPartition) {
    if (partition === SIDE_FILES_PARTITION) {
      files.push(...ofPartition.map((entry) => planSideFile(entry)));
      continue;
    }
    const header = ofPartition.find((entry) => entry.address.tensor === HEADER_TENSOR);
    files.push(
      ...(header
        ? [await planPartition(header, ofPartition, readHeader)]
        : ofPartition.map((entry) => planSingleTensor(entry))),
    );
  }
  return files;
}

function planSideFile(entry: ListingEntry): PlannedFile {
  return {
    fileName: entry.address.tensor,
    byteLength: entry.descriptor.byteLength,
    front: NO_FRONT,
    frontAddress: entry.address,
    pieces: [{ entry, fileOffset: 0 }],
  };
}

function planSingleTensor(entry: ListingEntry): PlannedFile {
  const { address, descriptor } = entry;
  if (address.partition === SIDE_FILES_PARTITION) return planSideFile(entry);
  if (address.tensor === HEADER_TENSOR)
    return { ...planSideFile(entry), fileName: `${address.partition}.header` };
  const front = encodeHeader([{ name: address.tensor, descriptor }]).raw;
  return {
    fileName: singleName(address),
    byteLength: front.byteLength + descriptor.byteLength,
    front,
    frontAddress: { ...address, tensor: HEADER_TENSOR },
    pieces: [{ entry, fileOffset: front.byteLength }],
  };
}

async function planPartition(
  headerEntry: ListingEntry,
  entries: readonly ListingEntry[],
  readHeader: HeaderReader,
): Promise<PlannedFile> {
  return layOutPartition(await readHeader(headerEntry), headerEntry.address, entries);
}

/**
 * Lays out a whole safetensors file: the listing and the header must tell the same of every tensor.
 *
 * @param front The file's raw header.
 * @param entries Everything that was listed of the partition, the header's own entry included.
 * @throws {IntegrityError} at source, when they differ; {@linkcode FormatError} for a bad header.
 */
export function layOutPartition(
  front: Uint8Array,
  frontAddress: TensorAddress,
  entries: readonly ListingEntry[],
): PlannedFile {
  const { model, partition } = frontAddress;
  const byteLength = entries.reduce((sum, { descriptor }) => sum + descriptor.byteLength, 0);
  const header = parseHeader(front, byteLength);
  const listed = new Map(entries.map((entry) => [entry.address.tensor, entry]));
  const pieces = header.tensors.map(({ name, descriptor, fileOffset }) => {
    const entry = listed.get(name);
    const isSame =
      entry?.descriptor.dtype === descriptor.dtype &&
      entry.descriptor.shape.join() === descriptor.shape.join();
    if (entry && isSame) return { entry, fileOffset };
    throw new IntegrityError("source", `${model}/${partition} changed while it was listed`);
  });
  if (pieces.length !== entries.length - 1) {
    throw new IntegrityError("source", `${model}/${partition} changed while it was listed`);
  }
  return {
    fileName: `${partition}.safetensors`,
    byteLength,
    front,
    frontAddress,
    pieces,
  };
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
