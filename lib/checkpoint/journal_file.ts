import { constants, fstatSync, statSync } from "node:fs";
import { type FileHandle, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { StorageError } from "../errors.ts";
import { DiskFile } from "./disk_file.ts";
import { openOwn, readFully, syncFolder } from "./file_access.ts";
import {
  type DecodedJournal,
  decodeJournal,
  type JournalRecord,
  MAX_JOURNAL_BYTES,
} from "./journal.ts";
import { JournalLog } from "./journal_log.ts";
import { errnoOf, storageError } from "./storage_error.ts";

/**
 * Which file on this machine an open journal is: it and the folder that it vouches for, by their
 * numbers. A copy beside other files has another home; one that was renamed has not.
 */
export function journalHome(path: string, handle: FileHandle): string {
  const folder = statSync(dirname(path), { bigint: true });
  return `${folder.ino} ${fstatSync(handle.fd, { bigint: true }).ino}`;
}

const vanished = (path: string) =>
  `Cannot write to ${path}: it was deleted meanwhile; run the same command again`;

/**
 * Reads the journal in a file; `undefined` when there is none that can be read as one. A copy of another
 * one is as little `clean` as one that is damaged: the files beside it may not be those it means.
 */
export async function readJournalFile(path: string): Promise<DecodedJournal | undefined> {
  let handle: FileHandle;
  try {
    handle = await openOwn(path, 0);
  } catch (cause) {
    if (errnoOf((cause as Error).cause) === "ENOENT") return undefined;
    throw cause;
  }
  try {
    const { size } = await handle.stat();
    if (size > MAX_JOURNAL_BYTES) return undefined;
    const bytes = new Uint8Array(size);
    if (!(await readFully(handle, bytes, 0))) return undefined;
    const decoded = decodeJournal(bytes);
    if (decoded === undefined) return undefined;
    return { ...decoded, clean: decoded.clean && decoded.home === journalHome(path, handle) };
  } catch (cause) {
    throw storageError(cause, "read", path);
  } finally {
    await handle.close();
  }
}

/**
 * Puts a new journal in the place of the old one, at once and whole.
 *
 * @param durable Whether every append is on the disk before its promise is kept.
 */
export async function createJournalFile(
  path: string,
  key: string,
  records: Iterable<JournalRecord>,
  durable: boolean,
): Promise<JournalLog> {
  const fresh = `${path}-new`;
  const handle = await openOwn(fresh, constants.O_CREAT | constants.O_TRUNC);
  try {
    const check = () => {
      if (fstatSync(handle.fd).nlink === 0) throw new StorageError(vanished(path));
    };
    const names = { key, home: journalHome(path, handle) };
    const log = await JournalLog.begin(new DiskFile(handle), names, records, {
      path,
      durable,
      check,
    });
    // Synced even when not durable: after a power cut the old journal must not come back.
    await handle.sync();
    await rename(fresh, path);
    await syncFolder(dirname(path));
    return log;
  } catch (cause) {
    await handle.close();
    throw storageError(cause, "write", fresh);
  }
}
