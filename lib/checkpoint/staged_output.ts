import { truncate } from "node:fs/promises";
import { StorageError } from "../errors.ts";
import { sha256 as platformSha256, type Sha256 } from "../platform/sha256.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSink } from "../tensor/sink.ts";
import { syncFolder } from "./file_access.ts";
import { FileHandles } from "./file_handles.ts";
import { foldFileName, safeFileName } from "./file_name.ts";
import { DURABLE, type JournalRecord } from "./journal.ts";
import { JournalFile } from "./journal_file.ts";
import { encodeJournalHeader } from "./journal_header.ts";
import type { Ledger, LedgerTensor, Place } from "./ledger.ts";
import type { OutputLock } from "./lock.ts";
import { bootId } from "./machine.ts";
import { type Placement, placeFile, refuseOther, statOrNothing } from "./place_files.ts";
import { completeFinish, dropLost, isTrusted, loadLedger } from "./resume.ts";
import type { StagedFile } from "./staged_file.ts";
import { StagedSink } from "./staged_sink.ts";
import { type OutputKind, Staging } from "./staging.ts";
import { storageError } from "./storage_error.ts";

const MAX_OPEN_FILES = 16;

/** How a {@linkcode StagedOutput} is opened. */
export interface StagedOutputOptions {
  readonly kind: OutputKind;
  /** What is fetched, at most 4096 bytes: a checkpoint left by something else is cleared away. */
  readonly key: string;
  /** Whether verified leaves also survive a power cut, at the price of a sync for each. Default: false. */
  readonly durable?: boolean;
  /** Checks what a restart of the machine put in doubt. Default: the runtime's fastest. */
  readonly sha256?: Sha256;
}

/** A file of the output, whole. */
export interface FinishedFile {
  readonly fileName: string;
  readonly byteLength: number;
}

/** How {@linkcode StagedOutput.finish} treats what is there already. */
export interface FinishOptions {
  /** Whether a file that differs may be replaced. Default: false. */
  readonly overwrite?: boolean;
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
 * import { StagedOutput } from "headrace/checkpoint";
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
export class StagedOutput {
  /**
   * Whether an earlier `finish` that was cut short has just been completed: the output is there,
   * whole and verified, and this object holds nothing of it any more.
   */
  readonly recovered: boolean;
  readonly #staging: Staging;
  readonly #lock: OutputLock;
  readonly #ledger: Ledger;
  readonly #journal: JournalFile;
  readonly #handles: FileHandles;
  readonly #boot: string;
  readonly #durable: boolean;
  readonly #sha256: Sha256;
  readonly #sinks = new Set<StagedSink>();
  /** File names by what the file system takes them for, where it ignores case. */
  readonly #foldedNames: Map<string, string> | undefined;
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
    this.recovered = parts.recovered;
    this.#staging = parts.staging;
    this.#lock = parts.lock;
    this.#ledger = parts.ledger;
    this.#journal = parts.journal;
    this.#handles = parts.handles;
    this.#boot = parts.boot;
    this.#durable = parts.durable;
    this.#sha256 = parts.sha256;
    this.#foldedNames = parts.ignoresCase ? new Map() : undefined;
  }

  /**
   * Opens the output and what an earlier attempt left of it, completing a `finish` that was cut short.
   *
   * @throws {StorageError} when another process has it open, or the file system refuses.
   * @throws {RangeError} for a key that is too long.
   */
  static async open(outputPath: string, options: StagedOutputOptions): Promise<StagedOutput> {
    const { kind, key, durable = false, sha256 = platformSha256 } = options;
    encodeJournalHeader(key, ""); // refuses a key that is too long before anything is touched
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
      return new StagedOutput({ ...parts, durable, sha256, ignoresCase });
    } catch (cause) {
      staging.unlock(lock);
      throw cause;
    }
  }

  /** The files of which something is staged. */
  names(): string[] {
    return [...new Set(Array.from(this.#ledger.tensors(), (tensor) => tensor.fileName))];
  }

  /**
   * Where one tensor, or any run of bytes that travels as one, goes.
   *
   * @param fileOffset Where in the file it begins.
   * @throws {StorageError} when those bytes are being written by another sink, or the file's name
   *   and another's are one to this file system.
   * @throws {TypeError | RangeError | LimitError} for a file name or an offset that cannot be.
   */
  sink(
    fileName: string,
    fileOffset: number,
    address: TensorAddress,
    descriptor: TensorDescriptor,
  ): TensorSink {
    this.#checkOpen();
    const { byteLength } = descriptor;
    if (!(fileOffset >= 0) || !Number.isSafeInteger(fileOffset + byteLength)) {
      throw new RangeError(`A tensor of ${byteLength} bytes cannot lie at offset ${fileOffset}`);
    }
    this.#checkName(fileName);
    const { model, partition, tensor } = address;
    const tensorKey = JSON.stringify([
      model,
      partition,
      tensor,
      descriptor.dtype,
      descriptor.shape,
    ]);
    const place: Place = { fileName, fileOffset, byteLength, tensorKey };
    for (const other of this.#sinks) {
      if (!overlap(other.place, place)) continue;
      throw new StorageError(
        `Cannot write bytes ${fileOffset} to ${fileOffset + byteLength} of ${fileName}: another transfer is writing there`,
      );
    }
    const sink = new StagedSink(
      {
        ledger: this.#ledger,
        boot: this.#durable ? DURABLE : this.#boot,
        sha256: this.#sha256,
        trusts: (boot) => isTrusted(boot, this.#boot),
        record: (records) => this.#record(records),
        useFile: (attempted, name, work) => this.#useFile(attempted, name, work),
        onRelease: (released) => this.#sinks.delete(released),
      },
      place,
    );
    this.#sinks.add(sink);
    return sink;
  }

  /**
   * Gives the files their final names, removes everything else that was staged, and closes.
   *
   * Each file must be covered from its first byte to its last by tensors that were committed since
   * `open`. What an earlier version of a file left behind its end is cut off. Nothing is
   * renamed before all is checked; when the process ends amid the renaming, `open` completes it.
   *
   * @throws {StorageError} when a file is not covered or not there, when something else is in its
   *   place and `overwrite` is not given, and when the file system refuses; the checkpoint is kept.
   * @throws {TypeError} while a sink is not released, or for files that are not this output's.
   */
  async finish(files: readonly FinishedFile[], options: FinishOptions = {}): Promise<void> {
    this.#checkOpen();
    const { overwrite = false } = options;
    this.#checkFiles(files);
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

  /** Waits for what is under way and closes, keeping what is verified; again, does nothing. */
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

  /** Closes and deletes all that is staged. */
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

  #checkName(fileName: string): void {
    const safe = safeFileName(fileName);
    if (this.#foldedNames === undefined) return;
    const folded = foldFileName(safe);
    const other = this.#foldedNames.get(folded);
    if (other === undefined) this.#foldedNames.set(folded, fileName);
    else if (other !== fileName) {
      throw new StorageError(
        `Cannot write ${fileName} beside ${other}: this file system takes the names for one; choose another output`,
      );
    }
  }

  #checkFiles(files: readonly FinishedFile[]): void {
    if (this.#sinks.size > 0) {
      throw new TypeError(`finish() was called with ${this.#sinks.size} sinks not released`);
    }
    if (this.#staging.kind === "file" && files.length !== 1) {
      throw new TypeError(`An output of one file was finished with ${files.length}`);
    }
    const names = new Set(files.map((file) => file.fileName));
    if (names.size !== files.length) throw new TypeError("finish() was given a file twice");
    for (const tensor of this.#ledger.tensors()) {
      if (!tensor.current || names.has(tensor.fileName)) continue;
      throw new TypeError(`finish() was not given ${tensor.fileName}, which was written to`);
    }
  }

  /** Makes sure that the staged file is whole, verified, and as long as it is to be. */
  async #settle(fileName: string, byteLength: number): Promise<void> {
    const staged = this.#staging.stagedPath(fileName);
    const gap = uncovered(this.#ledger.ofFile(fileName), byteLength);
    if (gap !== undefined) {
      throw new StorageError(
        `Cannot finish ${fileName}: ${byteLength} bytes are wanted, but it is not verified as that from byte ${gap} on`,
        { byteOffset: gap },
      );
    }
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
    await this.#journal.append(records);
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
    await Promise.all(Array.from(this.#sinks, (sink) => sink.release()));
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

const isSamePlace = (a: Place, b: Place) =>
  a.fileOffset === b.fileOffset && a.byteLength === b.byteLength && a.tensorKey === b.tensorKey;

function overlap(a: Place, b: Place): boolean {
  if (a.fileName !== b.fileName) return false;
  if (isSamePlace(a, b)) return true;
  if (a.byteLength === 0 || b.byteLength === 0) return false;
  return a.fileOffset < b.fileOffset + b.byteLength && b.fileOffset < a.fileOffset + a.byteLength;
}

/** The first byte that is not as verified as it must be, or `undefined` when the file is whole. */
function uncovered(claims: readonly LedgerTensor[], byteLength: number): number | undefined {
  let at = 0;
  for (const claim of claims) {
    if (claim.fileOffset >= byteLength && !claim.current) continue; // an older, longer version's
    if (claim.fileOffset !== at || !claim.current || !claim.committed) return at;
    at += claim.byteLength;
  }
  return at === byteLength ? undefined : Math.min(at, byteLength);
}

async function refuseFolder(target: string): Promise<void> {
  if (!(await statOrNothing(target))?.isDirectory()) return;
  throw new StorageError(`Cannot write ${target}: it is a folder; choose another output`);
}
