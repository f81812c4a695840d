import { constants, type Stats } from "node:fs";
import { lstat, open, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CheckpointLimits } from "../checkpoint_limits.ts";
import { StorageError } from "../errors.ts";
import type { SweptCheckpoint } from "./checkpoint_store.ts";
import { NO_FOLLOW, readFully } from "./file_access.ts";
import { isJournal } from "./journal_header.ts";
import { LockHeldError, OutputLock } from "./lock.ts";
import { isOwn } from "./machine.ts";
import { statOrNothing } from "./place_files.ts";
import { Staging } from "./staging.ts";
import { errnoOf, storageError } from "./storage_error.ts";
import { type Abandoned, planSweep } from "./sweep_plan.ts";

/** How {@linkcode sweepCheckpoints} goes about it; what is left out of the limits is as by default. */
export interface SweepOptions extends Partial<CheckpointLimits> {
  /** Outputs whose checkpoints stay: those that are about to be opened. */
  readonly except?: readonly string[];
  /** The time in milliseconds since 1970, as the file system tells it. Default: `Date.now`. */
  readonly nowMs?: () => number;
  /** Told of a checkpoint that could not be looked at or removed; the others are swept all the same. */
  readonly onError?: (error: StorageError) => void;
}

interface AbandonedStaging extends Abandoned {
  readonly staging: Staging;
}

/** What is in a staging folder. */
interface Contents extends Abandoned {
  /** Paths of the files that are ours, the journal last: as long as others are there, it tells of them. */
  readonly paths: readonly string[];
}

const MAGIC_BYTES = 8;
/** Where a file is staged: `.NAME.headrace`. */
const FILE_STAGING = /^\.(.+)\.headrace$/s;
/** Our own files in a staging folder, beside the lock; those that are staged have no leading dot. */
const OWN_FILE = /^(?:[^.].*|\.journal|\.journal-new|\.turn-[0-9a-z-]+)$/s;
/** What a file system counts in, whatever its blocks are. */
const STAT_BLOCK_BYTES = 512;

/**
 * Removes checkpoints that transfers left behind and nobody goes on with: those of the folder
 * itself, of the files in it and of the folders in it. One that somebody has open stays, as does
 * what is finished, another user's, and whatever is not headrace's; links are not followed. Several
 * may sweep at once, and a writer that comes meanwhile finds its checkpoint whole or not at all.
 *
 * @returns What was removed, in the order in which it was.
 * @throws {StorageError} when the folder cannot be read; one that is not there is empty.
 *
 * @example
 * ```ts
 * import { sweepCheckpoints } from "headrace/checkpoint/node";
 *
 * for (const { output, bytes } of await sweepCheckpoints("models", { maxAgeMs: 86_400_000 })) {
 *   console.log(`${bytes} bytes of an unfinished ${output} are gone`);
 * }
 * ```
 */
export async function sweepCheckpoints(
  folder: string,
  options: SweepOptions = {},
): Promise<SweptCheckpoint[]> {
  const { except = [], nowMs = Date.now, onError } = options;
  const spared = new Set(except.map((output) => resolve(output)));
  const trying = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      onError?.(error);
      return undefined;
    }
  };
  const abandoned: AbandonedStaging[] = [];
  for (const staging of await stagingsOf(folder)) {
    if (spared.has(staging.target)) continue;
    await trying(async () => {
      const found = await lookAt(staging);
      if (found && OutputLock.isFree(staging.lockPath)) abandoned.push({ ...found, staging });
    });
  }
  const swept: SweptCheckpoint[] = [];
  for (const { checkpoint, over } of planSweep(abandoned, options, nowMs())) {
    const { staging, lastUsedMs } = checkpoint;
    const bytes = await trying(() => remove(checkpoint));
    if (bytes !== undefined) swept.push({ output: staging.target, bytes, lastUsedMs, over });
  }
  return swept;
}

/** Where outputs in this folder, and the folder itself as an output, may be put together. */
async function stagingsOf(folder: string): Promise<Staging[]> {
  const stagings = [new Staging(folder, "folder")];
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || entry.name === ".headrace") continue;
      const name = FILE_STAGING.exec(entry.name)?.[1];
      if (name === undefined) stagings.push(new Staging(join(folder, entry.name), "folder"));
      else stagings.push(new Staging(join(folder, name), "file"));
    }
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return [];
    throw storageError(cause, "read the folder", folder);
  }
  return stagings;
}

/** What is staged there; `undefined` when nothing is, or nothing of ours. */
async function lookAt(staging: Staging): Promise<Contents | undefined> {
  const { folder, journalPath } = staging;
  const stat = await statOrNothing(folder);
  if (!stat?.isDirectory() || !isOwn(stat.uid)) return undefined;
  if (!(await statOrNothing(journalPath))?.isFile()) return undefined;
  try {
    if (!(await beginsAsJournal(journalPath))) return undefined;
    const names = (await readdir(folder)).filter((name) => OWN_FILE.test(name));
    const paths: string[] = [];
    let bytes = 0;
    let lastUsedMs = 0;
    for (const name of names) {
      const path = join(folder, name);
      const stat = await lstat(path);
      if (!stat.isFile()) continue;
      bytes += bytesOnDisk(stat);
      lastUsedMs = Math.max(lastUsedMs, stat.mtimeMs);
      if (path !== journalPath) paths.push(path);
    }
    return { paths: [...paths, journalPath], bytes, lastUsedMs };
  } catch (cause) {
    // Whoever had it open has just finished.
    if (errnoOf(cause) === "ENOENT") return undefined;
    throw storageError(cause, "look at", folder);
  }
}

async function beginsAsJournal(path: string): Promise<boolean> {
  const handle = await open(path, constants.O_RDONLY | NO_FOLLOW);
  try {
    const magic = new Uint8Array(MAGIC_BYTES);
    return (await readFully(handle, magic, 0)) && isJournal(magic);
  } finally {
    await handle.close();
  }
}

/** A staged file is as long as it will be from the start, with holes where nothing has come yet. */
function bytesOnDisk({ blocks, size }: Stats): number {
  return blocks > 0 ? blocks * STAT_BLOCK_BYTES : size;
}

/** Tells how much was removed; `undefined` when somebody was faster, to use it or to sweep it. */
async function remove({ staging, lastUsedMs }: AbandonedStaging): Promise<number | undefined> {
  let lock: OutputLock;
  try {
    lock = OutputLock.take(staging.lockPath, "sweep");
  } catch (cause) {
    const isGone = errnoOf((cause as Error).cause) === "ENOENT";
    if (isGone || cause instanceof LockHeldError) return undefined;
    throw cause;
  }
  try {
    const found = await lookAt(staging);
    if (found?.lastUsedMs !== lastUsedMs) return undefined;
    for (const path of found.paths) await rm(path, { force: true });
    return found.bytes;
  } catch (cause) {
    throw storageError(cause, "delete from", staging.folder);
  } finally {
    staging.unlock(lock);
  }
}
