// This module runs in every runtime.
import type { FinishedFile, OutputKind } from "./checkpoint_store.ts";
import type { DecodedJournal, JournalRecord } from "./journal.ts";
import type { JournalLog } from "./journal_log.ts";
import type { OpenFile } from "./staged_file.ts";

/**
 * Where one output is put together, while it is locked: a folder of a disk, or of what a browser
 * keeps for a site. Staged files are known by their paths in it; only `finish` gives final names.
 */
export interface StagingPlace {
  readonly kind: OutputKind;
  /** The output as errors name it. */
  readonly target: string;
  /** Until when what is written from now on can be believed unread, unless it is synced. */
  readonly boot: string;
  /** Whether staged files are synced before a finish is recorded, so that it can be believed. */
  readonly syncsToFinish: boolean;
  /** Whether file names that differ in case alone are one here. */
  readonly ignoresCase: boolean;
  /** Where a file is staged. */
  stagedPath(fileName: string): string;
  /** The lengths of the staged files, by path. */
  stagedFiles(): Promise<Map<string, number>>;
  /** @param isNew Whether it must not be there yet; otherwise it must be. */
  openStaged(path: string, isNew: boolean): Promise<OpenFile>;
  deleteStaged(path: string): Promise<void>;
  /** The journal that the last one to have this place left, if it can be read as one. */
  readJournal(): Promise<DecodedJournal | undefined>;
  /** Puts a new journal in the place of the old one, at once and whole. */
  createJournal(key: string, records: Iterable<JournalRecord>): Promise<JournalLog>;
  /** Whether the file has its final name and this length. */
  isFinished(file: FinishedFile): Promise<boolean>;
  /** @throws {StorageError} when something else is where the staged file goes that may not go. */
  refuseOther(file: FinishedFile, overwrite: boolean): Promise<void>;
  /** Gives closed staged files their final names. */
  finish(files: readonly FinishedFile[]): Promise<void>;
  /** Deletes what is staged and the journal, which nobody has open. */
  clear(): Promise<void>;
  /** @throws {StorageError} when the place is not this holder's any more. */
  check(): void;
  /** Gives the place back. */
  unlock(): void | Promise<void>;
}
