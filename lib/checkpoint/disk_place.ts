import { constants } from "node:fs";
import { rm } from "node:fs/promises";
import { StorageError } from "../errors.ts";
import type { FinishedFile, OutputKind } from "./checkpoint_store.ts";
import { DiskFile } from "./disk_file.ts";
import { openOwn, syncFolder } from "./file_access.ts";
import type { DecodedJournal, JournalRecord } from "./journal.ts";
import { createJournalFile, readJournalFile } from "./journal_file.ts";
import type { JournalLog } from "./journal_log.ts";
import type { OutputLock } from "./lock.ts";
import { bootId } from "./machine.ts";
import { isFileOf, type Placement, placeFile, refuseOther, statOrNothing } from "./place_files.ts";
import type { OpenFile } from "./staged_file.ts";
import { Staging } from "./staging.ts";
import type { StagingPlace } from "./staging_place.ts";
import { storageError } from "./storage_error.ts";

/** A place on a disk. */
export class DiskPlace implements StagingPlace {
  readonly boot: string = bootId();
  readonly syncsToFinish = false;
  readonly ignoresCase: boolean;
  readonly #staging: Staging;
  readonly #lock: OutputLock;
  readonly #durable: boolean;

  private constructor(staging: Staging, lock: OutputLock, ignoresCase: boolean, durable: boolean) {
    this.#staging = staging;
    this.#lock = lock;
    this.ignoresCase = ignoresCase;
    this.#durable = durable;
  }

  /**
   * @param durable Whether a power cut leaves all of it.
   * @throws {StorageError} when another process has it, or the file system refuses.
   */
  static async lock(outputPath: string, kind: OutputKind, durable: boolean): Promise<DiskPlace> {
    const staging = new Staging(outputPath, kind);
    const lock = await staging.lock(durable);
    try {
      return new DiskPlace(staging, lock, await staging.ignoresCase(), durable);
    } catch (cause) {
      staging.unlock(lock);
      throw cause;
    }
  }

  get kind(): OutputKind {
    return this.#staging.kind;
  }

  get target(): string {
    return this.#staging.target;
  }

  stagedPath(fileName: string): string {
    return this.#staging.stagedPath(fileName);
  }

  stagedFiles(): Promise<Map<string, number>> {
    return this.#staging.stagedFiles();
  }

  async openStaged(path: string, isNew: boolean): Promise<OpenFile> {
    this.check();
    const handle = await openOwn(path, isNew ? constants.O_CREAT | constants.O_EXCL : 0);
    try {
      if (isNew && this.#durable) await syncFolder(this.#staging.folder);
    } catch (cause) {
      await handle.close();
      await rm(path, { force: true }); // empty: the next try makes it anew
      throw cause;
    }
    return new DiskFile(handle);
  }

  async deleteStaged(path: string): Promise<void> {
    try {
      await rm(path);
    } catch (cause) {
      throw storageError(cause, "delete", path);
    }
  }

  readJournal(): Promise<DecodedJournal | undefined> {
    return readJournalFile(this.#staging.journalPath);
  }

  createJournal(key: string, records: Iterable<JournalRecord>): Promise<JournalLog> {
    return createJournalFile(this.#staging.journalPath, key, records, this.#durable);
  }

  isFinished({ fileName, byteLength }: FinishedFile): Promise<boolean> {
    return isFileOf(this.#staging.finalPath(fileName), byteLength);
  }

  async refuseOther(file: FinishedFile, overwrite: boolean): Promise<void> {
    const placement = this.#placement(file);
    const { target } = placement;
    if (!overwrite) await refuseOther(placement);
    else if ((await statOrNothing(target))?.isDirectory()) {
      throw new StorageError(`Cannot write ${target}: it is a folder; choose another output`);
    }
  }

  async finish(files: readonly FinishedFile[]): Promise<void> {
    for (const file of files) await placeFile(this.#placement(file));
    if (this.#durable) await syncFolder(this.#staging.targetFolder);
  }

  clear(): Promise<void> {
    return this.#staging.clear();
  }

  check(): void {
    this.#lock.check();
  }

  unlock(): void {
    this.#staging.unlock(this.#lock);
  }

  #placement({ fileName, byteLength }: FinishedFile): Placement {
    const staged = this.#staging.stagedPath(fileName);
    return { staged, target: this.#staging.finalPath(fileName), byteLength };
  }
}
