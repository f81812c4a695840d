import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { ConfigError, FormatError, HeadraceError, StorageError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { checkAddress, SIDE_FILES_PARTITION } from "../tensor/address.ts";
import { EXTENSION, type ModelFile, modelFileOf } from "./model_file.ts";
import { openNodeFile } from "./node_file.ts";
import { readingError } from "./reading_error.ts";
import { quote } from "./safetensors/quote.ts";
import { parseShardIndex } from "./safetensors/shard_index.ts";

/** A model on disk: the shards in order of their names, then the side files. */
export interface ModelFiles {
  readonly model: string;
  /** The folder or the single file, absolute. */
  readonly path: string;
  readonly files: readonly ModelFile[];
}

const INDEX_EXTENSION = ".safetensors.index.json";

// Order by code unit, so that it does not depend on the machine's language.
const byName = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function checkShard(file: ModelFile): ModelFile {
  if (file.partition === SIDE_FILES_PARTITION) {
    throw new ConfigError(
      `Cannot serve ${file.path}: the name ${SIDE_FILES_PARTITION} stands for a model's side files; rename it`,
    );
  }
  return file;
}

function checkModelName(model: string, path: string): string {
  try {
    checkAddress({ model, partition: "partition", tensor: "tensor" });
  } catch (cause) {
    throw new ConfigError(
      `Cannot name a model after ${path}: ${(cause as Error).message}; give it a name`,
      { cause },
    );
  }
  return model;
}

/** Follows symbolic links, as the cache of huggingface_hub is made of them, but never into a folder. */
async function isRegularFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  try {
    return (await stat(path)).isFile();
  } catch (cause) {
    throw readingError(cause, "follow the link", path);
  }
}

async function scanFolder(folder: string): Promise<ModelFile[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const shards: ModelFile[] = [];
  const sideFiles: ModelFile[] = [];
  for (const entry of entries.sort((a, b) => byName(a.name, b.name))) {
    const path = join(folder, entry.name);
    const file = modelFileOf(entry.name, path);
    if (!file || !(await isRegularFile(entry, path))) continue;
    if (file.sideFile === undefined) shards.push(checkShard(file));
    else sideFiles.push(file);
  }
  if (shards.length === 0) {
    throw new StorageError(
      `Nothing to serve in ${folder}: looked for files *${EXTENSION} directly in it, found none`,
    );
  }
  return [...shards, ...sideFiles];
}

/**
 * Finds the files of a model. The path is a `.safetensors` file, whose stem names the model and its
 * one partition, or a folder of them, which names the model; only the folder's own files count.
 *
 * @param model A name in place of the path's own.
 * @throws {ConfigError} for a file of another kind, or a name that cannot be an address.
 * @throws {StorageError} when the path is missing or may not be read, or a folder has no weights.
 */
export async function scanModel(path: string, model?: string): Promise<ModelFiles> {
  const full = resolve(path);
  try {
    if ((await stat(full)).isDirectory()) {
      const files = await scanFolder(full);
      return { model: checkModelName(model ?? basename(full), full), path: full, files };
    }
  } catch (cause) {
    if (cause instanceof HeadraceError) throw cause;
    throw readingError(cause, "serve", full);
  }
  if (!full.endsWith(EXTENSION)) {
    throw new ConfigError(`Cannot serve ${full}: wanted a folder or a file *${EXTENSION}`);
  }
  const partition = basename(full).slice(0, -EXTENSION.length);
  const file = checkShard({ path: full, partition });
  return { model: checkModelName(model ?? file.partition, full), path: full, files: [file] };
}

/**
 * Checks that every shard which the model's `*.safetensors.index.json` names is there.
 *
 * @throws {FormatError} naming index and shard.
 */
export async function checkShardIndex(
  { files }: ModelFiles,
  limits: Partial<Limits>,
): Promise<void> {
  const present = new Set(files.map(({ path }) => basename(path)));
  for (const { path, sideFile } of files) {
    if (!sideFile?.endsWith(INDEX_EXTENSION)) continue;
    const { shards } = await readShardIndex(path, limits);
    const missing = shards.find((name) => !present.has(name));
    if (missing !== undefined) {
      throw new FormatError(
        `${path}: names the shard ${quote(missing)}, which is not beside it; fetch it, or remove the index`,
      );
    }
  }
}

async function readShardIndex(path: string, limits: Partial<Limits>) {
  const { maxSafetensorsHeaderBytes } = { ...DEFAULT_LIMITS, ...limits };
  const file = await openNodeFile(path);
  try {
    // One byte more than is allowed is enough to be refused.
    const bytes = new Uint8Array(Math.min(file.byteLength, maxSafetensorsHeaderBytes + 1));
    await file.read(0, bytes);
    return parseShardIndex(bytes, { limits });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`${path}: ${error.message}`, { cause: error });
  } finally {
    await file.close();
  }
}
