// This module runs in every runtime.
/**
 * Safetensors files in a bucket of Cloudflare's R2, as a store.
 *
 * @module headrace/r2
 */
import { type Clock, systemClock } from "../clock.ts";
import { NotFoundError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import {
  type AddressPattern,
  checkAddress,
  formatAddress,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { StoreEntry, TensorSource, TensorStore } from "../tensor/source.ts";
import { FileSnapshot, type SnapshotContext } from "./file_snapshot.ts";
import { EXTENSION, type ModelFile, matchingEntries, modelFileOf } from "./model_file.ts";
import type { R2BucketLike, R2ObjectHead } from "./r2_bucket.ts";
import { inBucket, R2Files } from "./r2_file.ts";

export type { R2BucketLike, R2ObjectHead, R2ObjectRead } from "./r2_bucket.ts";

/** How an {@linkcode R2Store} reads. */
export interface R2StoreOptions {
  /** What the keys of all that is served begin with, such as `"models/"`. Default `""`, all. */
  readonly prefix?: string;
  /** Bounds that differ from the defaults, such as `maxSafetensorsHeaderBytes`. */
  readonly limits?: Partial<Limits>;
  readonly clock?: Clock;
}

/** A longer key cannot be. */
const MOST_KEY_BYTES = 1024;

/** A file, and the folder or file that names its model. */
interface BucketFile {
  readonly model: string;
  readonly file: ModelFile;
}

/**
 * Serves the safetensors files of a bucket. A model is a folder of keys, `MODEL/*.safetensors`, by its
 * whole path below `prefix`, or a single file there; partitions, headers and side files are as in a
 * `SafetensorsStore`. Side files are those of folders that hold weights.
 *
 * Files are looked at again whenever they are listed or opened; versions come from their etags. Who
 * reads on is served by few requests of growing ranges, and no more than asked for is in memory.
 *
 * In a worker a bucket belongs to a request: make a store for each.
 *
 * @example
 * ```ts
 * import { createHandler } from "headrace/http";
 * import { type R2BucketLike, R2Store } from "headrace/r2";
 *
 * export default {
 *   async fetch(request: Request, env: { WEIGHTS: R2BucketLike }): Promise<Response> {
 *     const store = new R2Store(env.WEIGHTS, { prefix: "models/" });
 *     return createHandler({ store, hosts: ["weights.example"] })(request);
 *   },
 * };
 * ```
 */
export class R2Store implements TensorStore {
  readonly #bucket: R2BucketLike;
  readonly #prefix: string;
  readonly #context: SnapshotContext;
  readonly #snapshots = new Map<string, FileSnapshot>();

  constructor(bucket: R2BucketLike, options: R2StoreOptions = {}) {
    const { prefix = "", limits = {}, clock = systemClock } = options;
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.#context = { files: new R2Files(bucket), limits, clock };
  }

  /**
   * What is there now and matches. When some file cannot be read, what the others hold comes first
   * and the error last, so that a listing is never short without a word.
   *
   * @throws {FormatError | StorageError | IntegrityError} for a file that is malformed or unreadable.
   */
  async *list(pattern: AddressPattern): AsyncGenerator<StoreEntry, void, undefined> {
    const failures: unknown[] = [];
    const holdsWeights = new Map<string, boolean>();
    const snapshot = (file: ModelFile) => this.#snapshot(file);
    for await (const { model, file } of this.#files(literalStart(pattern.model))) {
      if (file.sideFile !== undefined) {
        const holds = holdsWeights.get(model) ?? (await this.#holdsWeights(model));
        holdsWeights.set(model, holds);
        if (!holds) continue;
      }
      yield* matchingEntries(pattern, model, file, snapshot, failures);
    }
    if (failures.length > 0) throw failures[0];
  }

  /**
   * Opens one tensor of the file as it is now.
   *
   * @throws {NotFoundError} when nothing lives at the address.
   * @throws {FormatError | StorageError | IntegrityError} when its file cannot be read.
   */
  async open(address: TensorAddress): Promise<TensorSource> {
    checkAddress(address);
    for await (const file of this.#candidates(address)) {
      const source = (await this.#snapshotIfThere(file))?.open(address.tensor);
      if (source) return source;
    }
    const text = formatAddress(address);
    throw new NotFoundError(`Nothing lives at ${text}`, { address: text });
  }

  /** The files in which the tensor can be. */
  async *#candidates(address: TensorAddress): AsyncGenerator<ModelFile, void, undefined> {
    const { model, partition, tensor } = address;
    const isSideFile = partition === SIDE_FILES_PARTITION;
    const names = [`${model}/${isSideFile ? tensor : partition + EXTENSION}`];
    if (model === partition) names.push(model + EXTENSION);
    for (const name of names) {
      // Whatever an address makes of a key, a listing has to make of it too.
      const found = this.#fileOf(this.#prefix + name);
      if (found?.model !== model || found.file.partition !== partition) continue;
      if (!isSideFile || (await this.#holdsWeights(model))) yield found.file;
    }
  }

  /** What an object is to a model; nothing, for most. */
  #fileOf(key: string): BucketFile | undefined {
    if (!key.startsWith(this.#prefix)) return undefined;
    if (new TextEncoder().encode(key).byteLength > MOST_KEY_BYTES) return undefined;
    const path = key.slice(this.#prefix.length);
    const slash = path.lastIndexOf("/");
    const file = modelFileOf(path.slice(slash + 1), key);
    // A shard may not take the name that stands for the side files.
    if (!file || (file.sideFile === undefined && file.partition === SIDE_FILES_PARTITION)) {
      return undefined;
    }
    if (slash > 0) return { model: path.slice(0, slash), file };
    return slash < 0 && file.sideFile === undefined ? { model: file.partition, file } : undefined;
  }

  async *#files(start: string): AsyncGenerator<BucketFile, void, undefined> {
    for await (const { key } of this.#objects(this.#prefix + start)) {
      const file = this.#fileOf(key);
      if (file) yield file;
    }
  }

  async *#objects(prefix: string): AsyncGenerator<R2ObjectHead, void, undefined> {
    let cursor: string | undefined;
    do {
      const options = cursor === undefined ? { prefix } : { prefix, cursor };
      const page = await inBucket("list", `${prefix}*`, () => this.#bucket.list(options));
      yield* page.objects;
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined);
  }

  async #holdsWeights(model: string): Promise<boolean> {
    for await (const { file, model: found } of this.#files(`${model}/`)) {
      if (found === model && file.sideFile === undefined) return true;
    }
    return false;
  }

  async #snapshotIfThere(file: ModelFile): Promise<FileSnapshot | undefined> {
    try {
      return await this.#snapshot(file);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      this.#snapshots.delete(file.path);
      return undefined;
    }
  }

  /** What is known of the file, read again if the file is no longer the same. */
  async #snapshot(file: ModelFile): Promise<FileSnapshot> {
    const known = this.#snapshots.get(file.path);
    if (known && equalBytes(known.version, await known.currentVersion())) return known;
    const fresh = await (file.sideFile === undefined
      ? FileSnapshot.ofSafetensors(file.path, this.#context)
      : FileSnapshot.ofSideFile(file.path, file.sideFile, this.#context));
    this.#snapshots.set(file.path, fresh);
    return fresh;
  }
}

/** What every name that matches begins with. */
function literalStart(pattern: string): string {
  const [start = ""] = pattern.split("*");
  return decodeURIComponent(start);
}
