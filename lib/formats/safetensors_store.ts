import { type Clock, systemClock } from "../clock.ts";
import { ConfigError, NotFoundError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import {
  type AddressPattern,
  checkAddress,
  formatAddress,
  matchesAddress,
  type TensorAddress,
} from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { StoreEntry, TensorSource, TensorStore } from "../tensor/source.ts";
import { FileSnapshot, type SnapshotContext } from "./file_snapshot.ts";
import { type ModelFile, matchingEntries } from "./model_file.ts";
import { checkShardIndex, type ModelFiles, scanModel } from "./model_files.ts";
import { nodeFiles } from "./node_file.ts";
import { quote } from "./safetensors/quote.ts";

/** How {@linkcode SafetensorsStore.open} reads. */
export interface SafetensorsStoreOptions {
  /** Names the model in place of its path; only with one path. */
  readonly model?: string;
  /** Bounds that differ from the defaults, such as `maxSafetensorsHeaderBytes`. */
  readonly limits?: Partial<Limits>;
  /** Times how long a file that nobody reads stays open. Default the system's clock. */
  readonly clock?: Clock;
}

/** A model and what was read of its files so far. */
interface ServedModel {
  files: ModelFiles;
  readonly snapshots: Map<string, FileSnapshot>;
}

/**
 * Serves safetensors files of the local disk, in Node, Deno and Bun.
 *
 * A model is a folder (named after it) or a single file (named after its stem); a partition is a
 * `.safetensors` file in it, named after its stem. A partition's raw header comes first, as the U8
 * tensor `__metadata__`; the folder's side files (`*.json`, tokenizer, vocabulary, template, model
 * card, licence) are U8 tensors in the partition `__files__`. So whoever has all the tensors can
 * write the same files again.
 *
 * Files are looked at again whenever they are listed or opened. A file that went bad fails its own
 * requests and no others.
 *
 * @example
 * ```ts
 * import { parsePattern } from "headrace";
 * import { SafetensorsStore } from "headrace/safetensors/node";
 *
 * const store = await SafetensorsStore.open([]);
 * for await (const { address } of store.list(parsePattern("*"))) console.log(address.tensor);
 * ```
 */
export class SafetensorsStore implements TensorStore {
  readonly #models: ReadonlyMap<string, ServedModel>;
  readonly #context: SnapshotContext;

  private constructor(models: ReadonlyMap<string, ServedModel>, context: SnapshotContext) {
    this.#models = models;
    this.#context = context;
  }

  /**
   * Looks at every file once, so that what is wrong is known before anybody asks.
   *
   * @param paths Files `*.safetensors`, or folders that hold such files.
   * @throws {FormatError} naming file and tensor, for a malformed file or a shard that is missing.
   * @throws {NotFoundError} for a folder without weights.
   * @throws {ConfigError} for a file of another kind, or two paths that give one model name.
   * @throws {StorageError} for what is missing or may not be read.
   */
  static async open(
    paths: readonly string[],
    options: SafetensorsStoreOptions = {},
  ): Promise<SafetensorsStore> {
    const { model, limits = {}, clock = systemClock } = options;
    if (model !== undefined && paths.length !== 1) {
      throw new ConfigError(`A model name renames one path, but ${paths.length} were given`);
    }
    const models = new Map<string, ServedModel>();
    const store = new SafetensorsStore(models, { files: nodeFiles, limits, clock });
    for (const path of paths) {
      const files = await scanModel(path, model);
      const other = models.get(files.model);
      if (other) {
        throw new ConfigError(
          `${other.files.path} and ${files.path} both give the model name ${quote(files.model)}; serve one of them, or rename it`,
        );
      }
      await checkShardIndex(files, limits);
      const served = { files, snapshots: new Map() };
      for (const file of files.files) await store.#snapshot(served, file);
      models.set(files.model, served);
    }
    return store;
  }

  /** The models that are served, in the order of their paths. */
  get models(): readonly string[] {
    return [...this.#models.keys()];
  }

  /**
   * What is there now and matches. When some file cannot be read any more, what the others hold
   * comes first and the error last, so that a listing is never short without a word.
   *
   * @throws {FormatError | StorageError | IntegrityError} as {@linkcode SafetensorsStore.open}.
   */
  async *list(pattern: AddressPattern): AsyncGenerator<StoreEntry, void, undefined> {
    const failures: unknown[] = [];
    for (const [model, served] of this.#models) {
      if (!matchesAddress({ model: pattern.model, partition: "*", tensor: "*" }, anyIn(model))) {
        continue;
      }
      await this.#rescan(served, pattern.partition.includes("*")).catch((error: unknown) =>
        failures.push(error),
      );
      for (const file of served.files.files) {
        const snapshot = (file: ModelFile) => this.#snapshot(served, file);
        yield* matchingEntries(pattern, model, file, snapshot, failures);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /**
   * Opens one tensor of the file as it is now.
   *
   * @throws {NotFoundError} when nothing lives at the address.
   * @throws {FormatError | StorageError | IntegrityError} when its file cannot be read any more.
   */
  async open(address: TensorAddress): Promise<TensorSource> {
    checkAddress(address);
    const served = this.#models.get(address.model);
    const file = served && (await this.#find(served, address));
    const source = file && (await this.#snapshot(served, file)).open(address.tensor);
    if (source) return source;
    const text = formatAddress(address);
    throw new NotFoundError(`Nothing lives at ${text}`, { address: text });
  }

  async #find(served: ServedModel, address: TensorAddress): Promise<ModelFile | undefined> {
    const find = () =>
      served.files.files.find(
        ({ partition, sideFile }) =>
          partition === address.partition &&
          (sideFile === undefined || sideFile === address.tensor),
      );
    const known = find();
    if (known) return known;
    await this.#rescan(served, false);
    return find();
  }

  /** Looks for files that came or went. */
  async #rescan(served: ServedModel, whole: boolean): Promise<void> {
    const files = await scanModel(served.files.path, served.files.model);
    served.files = files;
    const paths = new Set(files.files.map(({ path }) => path));
    for (const path of served.snapshots.keys()) {
      if (!paths.has(path)) served.snapshots.delete(path);
    }
    if (whole) await checkShardIndex(files, this.#context.limits);
  }

  /** What is known of the file, read again if the file is no longer the same. */
  async #snapshot(served: ServedModel, file: ModelFile): Promise<FileSnapshot> {
    const known = served.snapshots.get(file.path);
    if (known && equalBytes(known.version, await known.currentVersion())) return known;
    const fresh = await (file.sideFile === undefined
      ? FileSnapshot.ofSafetensors(file.path, this.#context)
      : FileSnapshot.ofSideFile(file.path, file.sideFile, this.#context));
    served.snapshots.set(file.path, fresh);
    return fresh;
  }
}

const anyIn = (model: string): TensorAddress => ({ model, partition: "any", tensor: "any" });
