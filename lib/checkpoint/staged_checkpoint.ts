// This module runs in every runtime.
import { StorageError } from "../errors.ts";
import { sha256 as platformSha256, type Sha256 } from "../platform/sha256.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSink } from "../tensor/sink.ts";
import { logCheckpoint } from "./checkpoint_log.ts";
import type { Checkpoint, FinishedFile, FinishOptions } from "./checkpoint_store.ts";
import { FileHandles } from "./file_handles.ts";
import { DURABLE, type JournalRecord } from "./journal.ts";
import { checkKey } from "./journal_header.ts";
import type { JournalLog } from "./journal_log.ts";
import type { Ledger } from "./ledger.ts";
import { OutputSinks } from "./output_sinks.ts";
import { completeFinish, dropLost, isTrusted, loadLedger } from "./resume.ts";
import type { OpenFile } from "./staged_file.ts";
import type { StagingPlace } from "./staging_place.ts";
import { storageError } from "./storage_error.ts";

const MAX_OPEN_FILES = 16;

/** How an output that is put together in files is opened. */
export interface StagedOptions {
  /** As `CheckpointOptions.key`. */
  readonly key: string;
  /** As `CheckpointOptions.keepsOther`. */
  readonly keepsOther?: boolean;
  /** As `CheckpointOptions.durable`. */
  readonly durable?: boolean;
  /** Checks what can no longer be believed unread. Default: the runtime's fastest. */
  readonly sha256?: Sha256;
}

/** What a {@linkcode StagedCheckpoint} is made of. */
export interface StagedParts {
  readonly place: StagingPlace;
  readonly ledger: Ledger;
  readonly journal: JournalLog;
  readonly handles: FileHandles;
  readonly recovered: boolean;
  readonly durable: boolean;
  readonly sha256: Sha256;
}

/**
 * Reads what an earlier attempt left in a place, completing a `finish` that was cut short.
 *
 * @param place Locked; it is given back when this fails.
 * @throws {RangeError} for a key that is too long.
 * @throws {StorageError} when what something else has left is to be kept.
 */
export async function loadStaged(
  place: StagingPlace,
  { key, keepsOther = false, durable = false, sha256 = platformSha256 }: StagedOptions,
): Promise<StagedParts> {
  try {
    checkKey(key);
    const boot = durable ? DURABLE : place.boot;
    const ledger = await loadLedger(place, { key, keepsOther, boot });
    const recovered = await completeFinish(place, ledger);
    const present = await dropLost(place, ledger);
    logCheckpoint(place.target, ledger);
    const journal = await place.createJournal(key, ledger.records());
    const handles = new FileHandles(present, MAX_OPEN_FILES, (...file) =>
      place.openStaged(...file),
    );
    return { place, ledger, journal, handles, recovered, durable, sha256 };
  } catch (cause) {
    await place.unlock();
    throw cause;
  }
}

/**
 * A checkpoint in files with a journal beside them, on whatever keeps files: the record of a leaf is
 * written after its bytes, so that whenever its writer ends, the next one finds what was verified.
 */
export class StagedCheckpoint implements Checkpoint {
  readonly recovered: boolean;
  readonly #place: StagingPlace;
  readonly #ledger: Ledger;
  readonly #journal: JournalLog;
  readonly #handles: FileHandles;
  readonly #durable: boolean;
  readonly #sinks: OutputSinks;
  #state: "open" | "finishing" | "closed" = "open";

  constructor(parts: StagedParts) {
    const { place, ledger, durable, sha256 } = parts;
    this.recovered = parts.recovered;
    this.#place = place;
    this.#ledger = ledger;
    this.#journal = parts.journal;
    this.#handles = parts.handles;
    this.#durable = durable;
    this.#sinks = new OutputSinks(
      {
        pace: "disk",
        ledger,
        boot: durable ? DURABLE : place.boot,
        sha256,
        trusts: (written) => isTrusted(written, place.boot),
        record: (records) => this.#record(records),
        useFile: (attempted, name, work) => this.#useFile(attempted, name, work),
      },
      place,
    );
  }

  names(): string[] {
    return this.#sinks.names();
  }

  /**
   * As `Checkpoint.sink`.
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

  async read(fileName: string, fileOffset: number, into: Uint8Array): Promise<boolean> {
    this.#checkOpen();
    if (!this.names().includes(fileName)) return false;
    return this.#useFile("read", fileName, (file) => file.read(into, fileOffset));
  }

  /**
   * As `Checkpoint.finish`. Nothing is renamed before all is checked; when the process
   * ends amid the renaming, `open` completes it.
   *
   * @throws {StorageError} also when the file system refuses; the checkpoint is kept.
   */
  async finish(files: readonly FinishedFile[], options: FinishOptions = {}): Promise<void> {
    this.#checkOpen();
    const { overwrite = false } = options;
    this.#sinks.checkFiles(files);
    this.#place.check();
    for (const file of files) await this.#settle(file);
    const staged = await this.#place.stagedFiles();
    for (const file of files) {
      await this.#cutTo(file, staged.get(this.#place.stagedPath(file.fileName)));
      await this.#place.refuseOther(file, overwrite);
    }
    this.#state = "finishing";
    try {
      const place = files.map((file) => ({ kind: "place", ...pickFile(file) }) as const);
      await this.#record([...place, { kind: "finish", files: files.length, overwrite }]);
      await this.#handles.closeAll();
      await this.#place.finish(files);
      await this.#close();
      await this.#place.clear();
    } finally {
      await this.#close();
      await this.#place.unlock();
    }
  }

  async release(): Promise<void> {
    if (this.#state === "closed") return;
    try {
      await this.#releaseSinks();
      await this.#close();
      const isEmpty = this.#ledger.tensors().next().done === true;
      if (isEmpty && this.#ledger.finishing === undefined) await this.#place.clear();
    } finally {
      await this.#place.unlock();
    }
  }

  async discard(): Promise<void> {
    this.#checkOpen();
    try {
      await this.#releaseSinks();
      await this.#close();
      await this.#place.clear();
    } finally {
      await this.#place.unlock();
    }
  }

  #checkOpen(): void {
    if (this.#state === "open") return;
    throw new StorageError(`Cannot go on with ${this.#place.target}: the output was closed`);
  }

  /** Makes sure that all of the file is verified, and synced where that is wanted. */
  async #settle(file: FinishedFile): Promise<void> {
    this.#sinks.checkCovered(file);
    // An empty file has no tensor that would have made it.
    await this.#useFile("sync", file.fileName, async (staged) => {
      if (this.#durable || this.#place.syncsToFinish) await staged.sync();
    });
  }

  /** Makes sure that the staged file, found as long as this, is as long as it is to be. */
  async #cutTo({ fileName, byteLength }: FinishedFile, found: number | undefined): Promise<void> {
    if (found === undefined || found < byteLength) {
      throw new StorageError(
        `Cannot finish ${this.#place.stagedPath(fileName)}: it should have ${byteLength} bytes, found ${found ?? "no file"}; run the same command again`,
      );
    }
    if (found === byteLength) return;
    await this.#useFile("shorten", fileName, (staged) => staged.truncate(byteLength));
  }

  async #record(records: readonly JournalRecord[]): Promise<void> {
    const takesBack = records.some((record) => this.#ledger.takesBack(record));
    await this.#journal.append(records, takesBack);
    for (const record of records) this.#ledger.apply(record);
  }

  async #useFile<T>(
    attempted: string,
    fileName: string,
    work: (file: OpenFile) => Promise<T>,
  ): Promise<T> {
    const path = this.#place.stagedPath(fileName);
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
