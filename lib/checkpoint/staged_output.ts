import { truncate } from "node:fs/promises";
import { StorageError } from "../errors.ts";
import { sha256 as platformSha256, type Sha256 } from "../platform/sha256.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSink } from "../tensor/sink.ts";
import { logCheckpoint } from "./checkpoint_log.ts";
import type {
  Checkpoint,
  CheckpointOptions,
  FinishedFile,
  FinishOptions,
} from "./checkpoint_store.ts";
import { syncFolder } from "./file_access.ts";
import { FileHandles } from "./file_handles.ts";
import { DURABLE, type JournalRecord } from "./journal.ts";
import { JournalFile } from "./journal_file.ts";
import { checkKey } from "./journal_header.ts";
import type { Ledger } from "./ledger.ts";
import type { OutputLock } from "./lock.ts";
import { bootId } from "./machine.ts";
import { OutputSinks } from "./output_sinks.ts";
import { type Placement, placeFile, refuseOther, statOrNothing } from "./place_files.ts";
import { completeFinish, dropLost, isTrusted, loadLedger } from "./resume.ts";
import type { StagedFile } from "./staged_file.ts";
import { Staging } from "./staging.ts";
import { storageError } from "./storage_error.ts";

const MAX_OPEN_FILES = 16;

/** How a {@linkcode StagedOutput} is opened. */
export interface StagedOutputOptions extends CheckpointOptions {
  /** Checks what a restart of the machine put in doubt. Default: the runtime's fastest. */
  readonly sha256?: Sha256;
}

/**
 * Puts a file or a folder of files together where nobody looks for it, from tensors that arrive in
 * any order and from several attempts, and gives everything its final name when all is verified.
 *
 * Whenever the process ends, the next `open` finds what was verified. One process at a time has
 * an output open.
 *
 * @example
 * ```ts
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { createDescriptor } from "headrace";
 * import { StagedOutput } from "headrace/checkpoint/node";
 *
 * const folder = await mkdtemp(join(tmpdir(), "example-"));
 * const output = await StagedOutput.open(folder, { kind: "folder", key: "gpt2" });
 * const address = { model: "gpt2", partition: "default", tensor: "wte" };
 * const sink = output.sink("weights.bin", 0, address, createDescriptor("U8", [3]));
 * await sink.begin(new Uint8Array(), []);
 * await sink.write({ index: 0, digest: new Uint8Array(32) }, Uint8Array.of(1, 2, 3));
 * await sink.commit(undefined);
 * await sink.release();
 * await output.finish([{ fileName: "weights.bin", byteLength: 3 }]);
 * ```
 */
export class StagedOutput implements Checkpoint {
  readonly recovered: boolean;
  readonly #staging: Staging;
  readonly #lock: OutputLock;
  readonly #ledger: Ledger;
  readonly #journal: JournalFile;
  readonly #handles: FileHandles;
  readonly #durable: boolean;
  readonly #sinks: OutputSinks;
  #state: "open" | "finishing" | "closed" = "open";

  private constructor(parts: {
    recovered: boolean;
    staging: Staging;
    lock: OutputLock;
    ledger: Ledger;
    journal: JournalFile;
    handles: FileHandles;
    boot: string;
    durable: boolean;
    sha256: Sha256;
    ignoresCase: boolean;
  }) {
    const { staging, ledger, boot, durable, sha256, ignoresCase } = parts;
    this.recovered = parts.recovered;
    this.#staging = staging;
    this.#lock = parts.lock;
    this.#ledger = ledger;
    this.#journal = parts.journal;
    this.#handles = parts.handles;
    this.#durable = durable;
    this.#sinks = new OutputSinks(
      {
        pace: "disk",
        ledger,
        boot: durable ? DURABLE : boot,
        sha256,
        trusts: (written) => isTrusted(written, boot),
        record: (records) => this.#record(records),
        useFile: (attempted, name, work) => this.#useFile(attempted, name, work),
      },
      { kind: staging.kind, ignoresCase },
    );
  }

  /**
   * Opens the output and what an earlier attempt left of it, completing a `finish` that was cut short.
   *
   * @throws {StorageError} when another process has it open, or the file system refuses.
   * @throws {RangeError} for a key that is too long.
   */
  static async open(outputPath: string, options: StagedOutputOptions): Promise<StagedOutput> {
    const { kind, key, durable = false, sha256 = platformSha256 } = options;
    checkKey(key);
    const staging = new Staging(outputPath, kind);
    const lock = await staging.lock(durable);
    try {
      const boot = bootId();
      const ledger = await loadLedger(staging, key, durable ? DURABLE : boot);
      const recovered = await completeFinish(staging, ledger, boot);
      const present = await dropLost(staging, ledger);
      const journal = await JournalFile.create(staging.journalPath, key, ledger.records(), durable);
      const handles = new FileHandles(
        present,
        MAX_OPEN_FILES,
        () => lock.check(),
        durable ? () => syncFolder(staging.folder) : undefined,
      );
      const ignoresCase = await staging.ignoresCase();
      const parts = { recovered, staging, lock, ledger, journal, handles, boot };
      logCheckpoint(outputPath, ledger);
      return new StagedOutput({ ...parts, durable, sha256, ignoresCase });
    } catch (cause) {
      staging.unlock(lock);
      throw cause;
    }
  }

  names(): string[] {
    return this.#sinks.names();
  }

  /**
   * As {@linkcode Checkpoint.sink}.
   *
   * @throws {StorageError} also for a file whose name and another's are one to this file system.
   */
  sink(
    fileName: string,
    fileOffset: number,
    address: TensorAddress,
    descriptor: TensorDescriptor,
  ): TensorSink {
    this.#checkOpen();
    return this.#sinks.open(fileName, fileOffset, address, descriptor);
  }

  /**
   * As {@linkcode Checkpoint.finish}. Nothing is renamed before all is checked; when the process
   * ends amid the renaming, `open` completes it.
   *
   * @throws {StorageError} also when the file system refuses; the checkpoint is kept.
   */
  async finish(files: readonly FinishedFile[], options: FinishOptions = {}): Promise<void> {
    this.#checkOpen();
    const { overwrite = false } = options;
    this.#sinks.checkFiles(files);
    this.#lock.check();
    const placements: Placement[] = [];
    for (const { fileName, byteLength } of files) {
      await this.#settle(fileName, byteLength);
      const staged = this.#staging.stagedPath(fileName);
      const placement = { staged, target: this.#staging.finalPath(fileName), byteLength };
      if (overwrite) await refuseFolder(placement.target);
      else await refuseOther(placement);
      placements.push(placement);
    }
    this.#state = "finishing";
    try {
      const place = files.map((file) => ({ kind: "place", ...pickFile(file) }) as const);
      await this.#record([...place, { kind: "finish", files: files.length, overwrite }]);
      await this.#handles.closeAll();
      for (const placement of placements) await placeFile(placement);
      if (this.#durable) await syncFolder(this.#staging.targetFolder);
      await this.#close();
      await this.#staging.clear();
    } finally {
      await this.#close();
      this.#staging.unlock(this.#lock);
    }
  }

  async release(): Promise<void> {
    if (this.#state === "closed") return;
    try {
      await this.#releaseSinks();
      await this.#close();
      const isEmpty = this.#ledger.tensors().next().done === true;
      if (isEmpty && this.#ledger.finishing === undefined) await this.#staging.clear();
    } finally {
      this.#staging.unlock(this.#lock);
    }
  }

  async discard(): Promise<void> {
    this.#checkOpen();
    try {
      await this.#releaseSinks();
      await this.#close();
      await this.#staging.clear();
    } finally {
      this.#staging.unlock(this.#lock);
    }
  }

  #checkOpen(): void {
    if (this.#state === "open") return;
    throw new StorageError(`Cannot go on with ${this.#staging.target}: the output was closed`);
  }

  /** Makes sure that the staged file is whole, verified, and as long as it is to be. */
  async #settle(fileName: string, byteLength: number): Promise<void> {
    const staged = this.#staging.stagedPath(fileName);
    this.#sinks.checkCovered({ fileName, byteLength });
    // An empty file has no tensor that would have made it.
    await this.#useFile("sync", fileName, async (file) => {
      if (this.#durable) await file.sync();
    });
    const stat = await statOrNothing(staged);
    if (stat === undefined || !stat.isFile() || stat.size < byteLength) {
      throw new StorageError(
        `Cannot finish ${staged}: it should have ${byteLength} bytes, found ${stat?.size ?? "no file"}; run the same command again`,
      );
    }
    if (stat.size === byteLength) return;
    try {
      await truncate(staged, byteLength);
    } catch (cause) {
      throw storageError(cause, "shorten", staged);
    }
  }

  async #record(records: readonly JournalRecord[]): Promise<void> {
    const takesBack = records.some((record) => this.#ledger.takesBack(record));
    await this.#journal.append(records, takesBack);
    for (const record of records) this.#ledger.apply(record);
  }

  async #useFile<T>(
    attempted: string,
    fileName: string,
    work: (file: StagedFile) => Promise<T>,
  ): Promise<T> {
    const path = this.#staging.stagedPath(fileName);
    try {
      return await this.#handles.use(path, work);
    } catch (cause) {
      throw storageError(cause, attempted, path);
    }
  }

  async #releaseSinks(): Promise<void> {
    this.#state = "finishing";
    await this.#sinks.release();
  }

  async #close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    await this.#handles.closeAll();
    await this.#journal.close();
  }
}

const pickFile = ({ fileName, byteLength }: FinishedFile): FinishedFile => ({
  fileName,
  byteLength,
});

async function refuseFolder(target: string): Promise<void> {
  if (!(await statOrNothing(target))?.isDirectory()) return;
  throw new StorageError(`Cannot write ${target}: it is a folder; choose another output`);
}
