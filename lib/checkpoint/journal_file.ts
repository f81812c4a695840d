import { constants, fstatSync, statSync } from "node:fs";
import { type FileHandle, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { StorageError } from "../errors.ts";
import { openOwn, readFully, syncFolder, writeFully } from "./file_access.ts";
import {
  type DecodedJournal,
  decodeJournal,
  encodeJournalRecord,
  type JournalRecord,
  MAX_JOURNAL_BYTES,
} from "./journal.ts";
import { encodeJournalFloor, encodeJournalHeader, FLOOR_BYTES } from "./journal_header.ts";
import { errnoOf, storageError } from "./storage_error.ts";

/** Bytes of records gathered into one write. */
const WRITE_BYTES = 64 * 1024;

/** Joins records into writes, so that a long journal is never whole in memory twice. */
function* inWrites(records: Iterable<JournalRecord>): Generator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let byteLength = 0;
  for (const record of records) {
    const bytes = encodeJournalRecord(record);
    parts.push(bytes);
    byteLength += bytes.byteLength;
    if (byteLength < WRITE_BYTES) continue;
    yield joined(parts, byteLength);
    parts = [];
    byteLength = 0;
  }
  if (byteLength > 0) yield joined(parts, byteLength);
}

function joined(parts: readonly Uint8Array[], byteLength: number): Uint8Array {
  const whole = new Uint8Array(byteLength);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

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

/** A journal in a file, open for appending. */
export class JournalFile {
  readonly #path: string;
  readonly #durable: boolean;
  readonly #handle: FileHandle;
  /** Where the last whole record ends. */
  #byteLength = 0;
  #headerBytes = 0;
  #broken: unknown;
  /** Records that the next write takes, and the promise of that write. */
  #waiting: JournalRecord[] = [];
  /** Whether some of those take something back. */
  #takesBack = false;
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  private constructor(path: string, durable: boolean, handle: FileHandle) {
    this.#path = path;
    this.#durable = durable;
    this.#handle = handle;
  }

  /**
   * Reads the journal; `undefined` when there is none that can be read as one. A copy of another
   * one is as little `clean` as one that is damaged: the files beside it may not be those it means.
   */
  static async read(path: string): Promise<DecodedJournal | undefined> {
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
  static async create(
    path: string,
    key: string,
    records: Iterable<JournalRecord>,
    durable: boolean,
  ): Promise<JournalFile> {
    const fresh = `${path}-new`;
    const handle = await openOwn(fresh, constants.O_CREAT | constants.O_TRUNC);
    const journal = new JournalFile(path, durable, handle);
    try {
      await journal.#write(encodeJournalHeader(key, journalHome(path, handle)));
      journal.#headerBytes = journal.#byteLength;
      for (const bytes of inWrites(records)) await journal.#write(bytes);
      // Synced even when not durable: after a power cut the old journal must not come back.
      await handle.sync();
      await rename(fresh, path);
      await syncFolder(dirname(path));
      return journal;
    } catch (cause) {
      await handle.close();
      throw storageError(cause, "write", fresh);
    }
  }

  /**
   * Appends records in this order; those of callers who come while a write is under way share the next.
   *
   * @param takesBack Whether something that the journal says is not so any more: a journal that
   *   loses these records at its end is then known to have lost something.
   */
  append(records: Iterable<JournalRecord>, takesBack = false): Promise<void> {
    this.#takesBack ||= takesBack;
    for (const record of records) this.#waiting.push(record);
    if (this.#next === undefined) {
      this.#next = this.#last.then(() => this.#flush());
      this.#last = this.#next.catch(() => {});
    }
    return this.#next;
  }

  /** Waits for what is under way and closes the file. */
  async close(): Promise<void> {
    await this.#last;
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    const records = this.#waiting;
    const takesBack = this.#takesBack;
    this.#waiting = [];
    this.#takesBack = false;
    this.#next = undefined;
    try {
      if (this.#broken !== undefined) throw this.#broken;
      const start = this.#byteLength;
      try {
        for (const bytes of inWrites(records)) await this.#write(bytes);
        if (takesBack) await this.#raiseFloor();
        if (this.#durable) await this.#handle.datasync();
        if (fstatSync(this.#handle.fd).nlink === 0) throw new StorageError(vanished(this.#path));
      } catch (cause) {
        this.#broken = cause;
        await this.#handle.truncate(start); // takes a half-written record away
        this.#byteLength = start;
        this.#broken = undefined;
        throw cause;
      }
    } catch (cause) {
      throw storageError(cause, "write to", this.#path);
    }
  }

  /** From here on a journal that is shorter than this one is known to have lost something. */
  async #raiseFloor(): Promise<void> {
    const floor = encodeJournalFloor(this.#byteLength);
    await writeFully(this.#handle, floor, this.#headerBytes - FLOOR_BYTES);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await writeFully(this.#handle, bytes, this.#byteLength);
    this.#byteLength += bytes.byteLength;
  }
}
