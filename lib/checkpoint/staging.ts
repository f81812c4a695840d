import { readdirSync, rmdirSync } from "node:fs";
import { lstat, mkdir, readdir, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Clock, sleep, systemClock } from "../clock.ts";
import { StorageError } from "../errors.ts";
import type { OutputKind } from "./checkpoint_store.ts";
import { syncFolder } from "./file_access.ts";
import { safeFileName } from "./file_name.ts";
import { LockHeldError, OutputLock } from "./lock.ts";
import { statOrNothing } from "./place_files.ts";
import { errnoOf, storageError } from "./storage_error.ts";

const MAX_ATTEMPTS = 8;
const POLL_MS = 20;
/** Far longer than a file system takes to delete a checkpoint. */
const MAX_WAIT_MS = 30_000;

/**
 * The folder in which an output is put together: `OUT/.headrace` or, for a single file,
 * `.NAME.headrace` beside it, so that the final rename stays on one file system.
 */
export function stagingFolder(target: string, kind: OutputKind): string {
  return kind === "folder"
    ? join(target, ".headrace")
    : join(dirname(target), `.${basename(target)}.headrace`);
}

/**
 * An output's {@linkcode stagingFolder}, and what is in it. Our own files begin with a dot, which no
 * staged file does.
 */
export class Staging {
  readonly kind: OutputKind;
  /** Where the output goes in the end. */
  readonly target: string;
  readonly folder: string;

  constructor(outputPath: string, kind: OutputKind) {
    this.kind = kind;
    this.target = resolve(outputPath);
    this.folder = stagingFolder(this.target, kind);
  }

  /** The folder in which the final names appear. */
  get targetFolder(): string {
    return this.kind === "file" ? dirname(this.target) : this.target;
  }

  get journalPath(): string {
    return join(this.folder, ".journal");
  }

  get lockPath(): string {
    return join(this.folder, ".lock");
  }

  stagedPath(fileName: string): string {
    return join(this.folder, safeFileName(fileName));
  }

  finalPath(fileName: string): string {
    return this.kind === "file" ? this.target : join(this.target, safeFileName(fileName));
  }

  /**
   * Makes the folder, and those above it, and takes its lock.
   *
   * @param durable Whether a power cut leaves the folders that were made.
   * @param clock By which a sweep that has begun is waited for.
   */
  async lock(durable: boolean, clock: Clock = systemClock): Promise<OutputLock> {
    if (this.kind === "file" && (await statOrNothing(this.target))?.isDirectory()) {
      throw new StorageError(`Cannot write ${this.target}: it is a folder; choose another output`);
    }
    let vanishedTimes = 0;
    let waitedMs = 0;
    for (;;) {
      try {
        await this.#makeFolder(durable);
        return OutputLock.take(this.lockPath);
      } catch (cause) {
        // Another process that just finished or swept may have removed the folder in between.
        const vanished = errnoOf((cause as Error).cause) === "ENOENT";
        const isBrief = cause instanceof LockHeldError && cause.isBrief;
        if (vanished) vanishedTimes++;
        else if (isBrief) waitedMs += POLL_MS;
        else throw cause;
        if (vanishedTimes === MAX_ATTEMPTS || waitedMs > MAX_WAIT_MS) throw cause;
        if (isBrief) await sleep(clock, POLL_MS);
      }
    }
  }

  async #makeFolder(durable: boolean): Promise<void> {
    try {
      await makeFolder(this.folder, durable);
      if ((await lstat(this.folder)).isDirectory()) return;
    } catch (cause) {
      throw storageError(cause, "make the folder", this.folder);
    }
    throw new StorageError(`Cannot use ${this.folder}: it is not a folder; delete it`);
  }

  /** The lengths of the staged files, by path. A link or a folder among them is not ours. */
  async stagedFiles(): Promise<Map<string, number>> {
    const files = new Map<string, number>();
    try {
      for (const name of await readdir(this.folder)) {
        if (name.startsWith(".")) continue;
        const path = join(this.folder, name);
        const stat = await lstat(path);
        if (!stat.isFile()) {
          throw new StorageError(`Cannot use ${path}: it is not a regular file; delete it`);
        }
        files.set(path, stat.size);
      }
    } catch (cause) {
      throw storageError(cause, "read the folder", this.folder);
    }
    return files;
  }

  /** Whether the file system takes names that differ in case for one; the lock must be there. */
  async ignoresCase(): Promise<boolean> {
    return (await statOrNothing(join(this.folder, ".LOCK"))) !== undefined;
  }

  /** Deletes what is staged and the journal; the lock stays until it is released. */
  async clear(): Promise<void> {
    try {
      const names = await readdir(this.folder);
      // The journal goes last: as long as files are there, it is what tells of them.
      names.sort((a, b) => Number(a.startsWith(".")) - Number(b.startsWith(".")));
      for (const name of names) {
        if (name !== ".lock") await rm(join(this.folder, name), { force: true, recursive: true });
      }
    } catch (cause) {
      if (errnoOf(cause) !== "ENOENT") throw storageError(cause, "delete from", this.folder);
    }
  }

  /** Releases the lock, and removes the folder if nothing else is in it. */
  unlock(lock: OutputLock): void {
    lock.release();
    try {
      if (readdirSync(this.folder).length === 0) rmdirSync(this.folder);
    } catch {
      // gone, or another process moved in: the folder is no longer ours
    }
  }
}

/** Makes the folder and those above it. (Node's own recursion says ENOENT for a read-only disk.) */
async function makeFolder(path: string, durable: boolean): Promise<void> {
  try {
    await makeOneFolder(path, durable);
  } catch (cause) {
    if (errnoOf(cause) !== "ENOENT" || dirname(path) === path) throw cause;
    await makeFolder(dirname(path), durable);
    // Once: some file systems say so of whatever is to be made in them.
    await makeOneFolder(path, durable);
  }
}

async function makeOneFolder(path: string, durable: boolean): Promise<void> {
  try {
    await mkdir(path);
    if (durable) await syncFolder(dirname(path));
  } catch (cause) {
    if (errnoOf(cause) !== "EEXIST") throw cause;
  }
}
