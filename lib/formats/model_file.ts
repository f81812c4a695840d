// This module runs in every runtime.
import {
  type AddressPattern,
  matchesAddress,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "../tensor/address.ts";
import type { StoreEntry } from "../tensor/source.ts";
import type { FileSnapshot } from "./file_snapshot.ts";

/** One file of a model. */
export interface ModelFile {
  readonly path: string;
  readonly partition: string;
  /** The tensor that a side file is; a shard has the tensors that its header names. */
  readonly sideFile?: string;
}

/** What the names of weights end in. */
export const EXTENSION = ".safetensors";

/**
 * What a model's folder holds beside its weights: configuration, tokenizer and vocabulary, chat
 * template, model card and licence.
 */
const SIDE_FILE = /^(?:.+\.(?:json|txt|model|jinja|md|tiktoken)|(?:tokenizer|LICENSE|NOTICE).*)$/;

/** What a file directly in a model's folder is to the model; nothing, for most. */
export function modelFileOf(name: string, path: string): ModelFile | undefined {
  if (name.startsWith(".")) return undefined;
  if (name.endsWith(EXTENSION)) return { path, partition: name.slice(0, -EXTENSION.length) };
  if (!SIDE_FILE.test(name)) return undefined;
  return { path, partition: SIDE_FILES_PARTITION, sideFile: name };
}

/** Whether the pattern can name any tensor of the file. */
function mayMatch(pattern: AddressPattern, model: string, file: ModelFile): boolean {
  const { partition, sideFile } = file;
  if (sideFile !== undefined)
    return matchesAddress(pattern, { model, partition, tensor: sideFile });
  return matchesAddress({ ...pattern, tensor: "*" }, { model, partition, tensor: "any" });
}

/**
 * The tensors of a file that match.
 *
 * @param snapshot Looks at the file, which is done only where it can hold any.
 * @param failures Gets what makes the file unreadable, so that a listing can go on to the next.
 */
export async function* matchingEntries(
  pattern: AddressPattern,
  model: string,
  file: ModelFile,
  snapshot: (file: ModelFile) => Promise<FileSnapshot>,
  failures: unknown[],
): AsyncGenerator<StoreEntry, void, undefined> {
  if (!mayMatch(pattern, model, file)) return;
  let found: FileSnapshot;
  try {
    found = await snapshot(file);
  } catch (error) {
    failures.push(error);
    return;
  }
  for (const { name, descriptor } of found.tensors) {
    const address: TensorAddress = { model, partition: file.partition, tensor: name };
    if (matchesAddress(pattern, address)) yield { address, descriptor, version: found.version };
  }
}
