// This module runs in every runtime.
import { joinBytes } from "../tensor/bytes.ts";
import { encodeJournalRecord, type JournalRecord } from "./journal.ts";
import { encodeJournalFloor, encodeJournalHeader, FLOOR_BYTES } from "./journal_header.ts";
import type { OpenFile } from "./staged_file.ts";
import { storageError } from "./storage_error.ts";

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
    yield joinBytes(parts);
    parts = [];
    byteLength = 0;
  }
  if (byteLength > 0) yield joinBytes(parts);
}

/** What a {@linkcode JournalLog} is written to. */
export interface JournalLogOptions {
  /** Where it will be, as errors name it. */
  readonly path: string;
  /** Whether every append is synced before its promise is kept. */
  readonly durable: boolean;
  /** Throws when what was written cannot be found again. */
  readonly check?: () => void;
}

/** A journal that is open for appending. */
export class JournalLog {
  readonly #file: OpenFile;
  readonly #options: JournalLogOptions;
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

  private constructor(file: OpenFile, options: JournalLogOptions) {
    this.#file = file;
    this.#options = options;
  }

  /**
   * Writes a journal into an empty file, which is the log's from then on.
   *
   * @param home As in the header.
   */
  static async begin(
    file: OpenFile,
    { key, home }: { readonly key: string; readonly home: string },
    records: Iterable<JournalRecord>,
    options: JournalLogOptions,
  ): Promise<JournalLog> {
    const log = new JournalLog(file, options);
    await log.#write(encodeJournalHeader(key, home));
    log.#headerBytes = log.#byteLength;
    for (const bytes of inWrites(records)) await log.#write(bytes);
    // A journal that is shorter than it was when it began is known to be no journal yet.
    await log.#raiseFloor();
    return log;
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
    await this.#file.close();
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
        if (this.#options.durable) await this.#file.sync();
        this.#options.check?.();
      } catch (cause) {
        this.#broken = cause;
        await this.#file.truncate(start); // takes a half-written record away
        this.#byteLength = start;
        this.#broken = undefined;
        throw cause;
      }
    } catch (cause) {
      throw storageError(cause, "write to", this.#options.path);
    }
  }

  /** From here on a journal that is shorter than this one is known to have lost something. */
  async #raiseFloor(): Promise<void> {
    const floor = encodeJournalFloor(this.#byteLength);
    await this.#file.write(floor, this.#headerBytes - FLOOR_BYTES);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#file.write(bytes, this.#byteLength);
    this.#byteLength += bytes.byteLength;
  }
}
