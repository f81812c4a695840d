import { readdir, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { safeFileName } from "../checkpoint/file_name.ts";
import { StagedOutput } from "../checkpoint/staged_output.ts";
import { storageError } from "../checkpoint/storage_error.ts";
import { deferred } from "../deferred.ts";
import { FormatError, IntegrityError, NotFoundError, UnauthorisedError } from "../errors.ts";
import { modelFileOf } from "../formats/model_file.ts";
import { openNodeFile } from "../formats/node_file.ts";
import { MemorySink } from "../session/memory_sink.ts";
import {
  formatAddress,
  HEADER_TENSOR,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "../tensor/address.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";
import { ExistingFileSink, FileDiffersError } from "./existing_file_sink.ts";
import { layOutPartition } from "./pull_plan.ts";
import type { ManifestFile, PushManifest } from "./push_manifest.ts";
import { WatchedSink } from "./watched_sink.ts";
import { writeFront } from "./write_front.ts";

/** A file that the push brings, or that is there already and must turn out to be the same. */
interface PushedFile extends ManifestFile {
  readonly path: string;
  /** Whether it has its final name from an earlier push. */
  exists: boolean;
  /** Where each of its tensors begins; unknown until the header is. */
  offsets: ReadonlyMap<string, number> | undefined;
}

/**
 * One model on its way in: put together where nobody looks for it, and given its final names at
 * once when everything on its manifest is there and verified.
 */
export class AcceptedPush {
  readonly manifest: PushManifest;
  /** Fulfils when the folder is let go, the model finished or not. */
  readonly over: Promise<void>;
  readonly #over = deferred<void>();
  readonly #folder: string;
  readonly #files = new Map<string, PushedFile>();
  /** Formatted addresses of what has not been verified yet. */
  readonly #missing: Set<string>;
  readonly #sinks = new Set<TensorSink>();
  readonly #opening: Promise<StagedOutput>;
  #finishing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param folder Where the model's files go.
   * @param before Gives up what went into the folder until now.
   */
  constructor(folder: string, manifest: PushManifest, before: () => Promise<void> | undefined) {
    this.manifest = manifest;
    this.over = this.#over.promise;
    this.#folder = folder;
    this.#missing = new Set(manifest.addresses());
    this.#opening = this.#open(before);
    this.#opening.catch(() => {});
  }

  /**
   * Fulfils when tensors can come.
   *
   * @throws {UnauthorisedError} when another version of a file is there, or a file of another version.
   * @throws {StorageError} when the folder cannot be used.
   */
  async opened(): Promise<void> {
    await this.#opening;
  }

  /** Whether no more tensors are taken. */
  get isOver(): boolean {
    return this.#finishing !== undefined || this.#closing !== undefined;
  }

  /**
   * Where a tensor goes.
   *
   * @throws {UnauthorisedError} for what the manifest does not name or what comes too early.
   * @throws {IntegrityError} at source, for another version than the manifest's.
   * @throws {NotFoundError} when the push is over.
   */
  async sink(
    address: TensorAddress,
    descriptor: TensorDescriptor,
    version: SourceVersion,
  ): Promise<TensorSink> {
    const name = formatAddress(address);
    if (!this.manifest.has(address, descriptor, version)) {
      throw new UnauthorisedError(`${name} is not on the list that this push began with`, {
        address: name,
      });
    }
    const output = await this.#opening;
    if (this.isOver) throw noPush(address.model);
    // What comes again is not there until it has.
    this.#missing.add(name);
    const inner = await this.#innerSink(output, address, descriptor);
    const sink: TensorSink = new WatchedSink(inner, {
      onRelease: () => void this.#sinks.delete(sink),
      onCommit: () => this.#arrived(name, output),
    });
    this.#sinks.add(sink);
    return sink;
  }

  /** Lets everything go and keeps what is verified; again, does nothing. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const output = await this.#opening.catch(() => undefined);
    await this.#finishing?.catch(() => {});
    await Promise.allSettled(Array.from(this.#sinks, (sink) => sink.release()));
    try {
      await output?.release();
    } finally {
      // A folder that nothing came into is not left behind; one with anything in it stays.
      await rmdir(this.#folder).catch(() => {});
      this.#over.resolve();
    }
  }

  async #open(before: () => Promise<void> | undefined): Promise<StagedOutput> {
    await before();
    const key = this.manifest.model;
    const output = await StagedOutput.open(this.#folder, { kind: "folder", key });
    try {
      await this.#refuseOthers();
      for (const file of this.manifest.files) await this.#lookAt(file);
      return output;
    } catch (error) {
      await output.release();
      throw error;
    }
  }

  /** A model is never put together from two: what this push does not bring must not be there. */
  async #refuseOthers(): Promise<void> {
    const brought = new Set(this.manifest.files.map(({ fileName }) => safeFileName(fileName)));
    const names = await readdir(this.#folder).catch((cause) => {
      throw storageError(cause, "read", this.#folder);
    });
    const other = names.find((name) => modelFileOf(name, name) && !brought.has(name));
    if (other === undefined) return;
    throw new UnauthorisedError(
      `${this.manifest.model} is there already and holds ${other}, which this push does not bring; nothing was written`,
    );
  }

  async #lookAt(file: ManifestFile): Promise<void> {
    const { fileName, header } = file;
    const path = join(this.#folder, safeFileName(fileName));
    const found = await stat(path).catch(() => undefined);
    if (found && !(found.isFile() && found.size === file.byteLength)) throw this.#differs(fileName);
    const offsets = header ? undefined : new Map([[fileName, 0]]);
    const pushed: PushedFile = { ...file, path, exists: found !== undefined, offsets };
    this.#files.set(fileName, pushed);
    if (!header || !pushed.exists) return;
    const front = await readFront(path, header.descriptor.byteLength);
    try {
      pushed.offsets = offsetsOf(file, front);
    } catch {
      throw this.#differs(fileName);
    }
  }

  #innerSink(
    output: StagedOutput,
    address: TensorAddress,
    descriptor: TensorDescriptor,
  ): Promise<TensorSink> | TensorSink {
    const { partition, tensor } = address;
    const isSideFile = partition === SIDE_FILES_PARTITION;
    const file = this.#files.get(isSideFile ? tensor : `${partition}.safetensors`) as PushedFile;
    const isHeader = !isSideFile && tensor === HEADER_TENSOR;
    if (isHeader && !file.exists) return this.#headerSink(output, file, descriptor);
    const fileOffset = file.offsets?.get(tensor);
    if (fileOffset === undefined) {
      throw new UnauthorisedError(`${formatAddress(address)} came before its file's header`, {
        retryable: true,
      });
    }
    return file.exists
      ? this.#existingSink(file, fileOffset, descriptor.byteLength)
      : output.sink(file.fileName, fileOffset, address, descriptor);
  }

  /** A header says where everything else goes, so it is read before it is written. */
  #headerSink(output: StagedOutput, file: PushedFile, descriptor: TensorDescriptor): TensorSink {
    const memory = new MemorySink(descriptor);
    return new WatchedSink(memory, {
      onCommit: async () => {
        const { bytes } = memory;
        const offsets = offsetsOf(file, bytes);
        const { address } = file.header as NonNullable<ManifestFile["header"]>;
        const front = createDescriptor("U8", [bytes.byteLength]);
        await writeFront(output.sink(file.fileName, 0, address, front), bytes);
        file.offsets = offsets;
      },
    });
  }

  async #existingSink(
    { path, fileName }: PushedFile,
    fileOffset: number,
    byteLength: number,
  ): Promise<TensorSink> {
    const existing = await openNodeFile(path);
    const inner = new ExistingFileSink(existing, path, fileOffset, byteLength);
    const translated = (error: unknown): never => {
      throw error instanceof FileDiffersError ? this.#differs(fileName, error) : error;
    };
    return {
      held: () => inner.held(),
      begin: (version, keep) => inner.begin(version, keep).catch(translated),
      write: () => inner.write().catch(translated),
      commit: () => inner.commit(),
      release: () => existing.close(),
    };
  }

  /** The last one finishes the model, before its sender hears that it has arrived. */
  async #arrived(name: string, output: StagedOutput): Promise<void> {
    if (this.#closing) throw noPush(this.manifest.model);
    this.#missing.delete(name);
    if (this.#missing.size > 0 || this.#sinks.size > 0 || this.#finishing) return;
    const files = [...this.#files.values()].filter(({ exists }) => !exists);
    this.#finishing = files.length > 0 ? output.finish(files) : output.release();
    try {
      await this.#finishing;
    } finally {
      await this.close();
    }
  }

  /** Names no path of this machine: the other end hears of it. */
  #differs(fileName: string, cause?: unknown): UnauthorisedError {
    return new UnauthorisedError(
      `${this.manifest.model} is there already and its ${fileName} differs; nothing was overwritten`,
      { cause },
    );
  }
}

/** What a pusher hears that must begin with its manifest, anew if need be. */
export function noPush(model: string): NotFoundError {
  return new NotFoundError(`No push of ${model} is under way here; it begins with its list`);
}

/** Where the header puts each tensor of the file, itself included. */
function offsetsOf({ header, entries }: ManifestFile, front: Uint8Array): Map<string, number> {
  const { address } = header as NonNullable<ManifestFile["header"]>;
  try {
    const { pieces } = layOutPartition(front, address, entries);
    const offsets = new Map(
      pieces.map(({ entry, fileOffset }) => [entry.address.tensor, fileOffset]),
    );
    return offsets.set(HEADER_TENSOR, 0);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    const where = formatAddress(address);
    throw new IntegrityError("source", `${where} does not fit its file: ${cause.message}`, {
      address: where,
      retryable: false,
      cause,
    });
  }
}

async function readFront(path: string, byteLength: number): Promise<Uint8Array> {
  const file = await openNodeFile(path);
  try {
    const front = new Uint8Array(byteLength);
    await file.read(0, front);
    return front;
  } finally {
    await file.close();
  }
}
