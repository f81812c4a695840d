import { StorageError } from "../errors.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import type { FinishedFile, OutputKind } from "./checkpoint_store.ts";
import { safeFileName } from "./file_name.ts";
import {
  type DecodedJournal,
  decodeJournal,
  type JournalRecord,
  MAX_JOURNAL_BYTES,
} from "./journal.ts";
import { JournalLog } from "./journal_log.ts";
import type { OpfsWay } from "./opfs_way.ts";
import type { OpenFile } from "./staged_file.ts";
import type { StagingPlace } from "./staging_place.ts";
import { storageError } from "./storage_error.ts";

/** Journals are numbered: one cannot be put in another's place at once and whole. */
const JOURNAL = /^\.journal-(\d{1,15})$/;
/** Nobody copies files here, so that every journal is where it was written. */
const HOME = "opfs";

/** What an {@linkcode OpfsPlace} is made of. */
export interface OpfsPlaceParts {
  readonly way: OpfsWay;
  readonly kind: OutputKind;
  /** As errors name it. */
  readonly target: string;
  /** The output's own folder, where its files appear in the end. */
  readonly folder: FileSystemDirectoryHandle;
  /** The folder in that, where they are put together. */
  readonly staging: FileSystemDirectoryHandle;
  readonly durable: boolean;
  /** Called when the place is given back. */
  readonly onUnlock: () => Promise<void>;
}

/** A place in what a browser keeps for a site. */
export class OpfsPlace implements StagingPlace {
  readonly kind: OutputKind;
  readonly target: string;
  /** A browser does not tell of a power cut: all that is older than this place is read again. */
  readonly boot: string = crypto.randomUUID();
  readonly syncsToFinish = true;
  readonly ignoresCase = true;
  readonly #parts: OpfsPlaceParts;
  #isGiven = false;

  /** @param parts Locked by the caller. */
  constructor(parts: OpfsPlaceParts) {
    this.kind = parts.kind;
    this.target = parts.target;
    this.#parts = parts;
  }

  stagedPath(fileName: string): string {
    return safeFileName(fileName);
  }

  async stagedFiles(): Promise<Map<string, number>> {
    const { way, staging } = this.#parts;
    const files = new Map<string, number>();
    try {
      for (const name of await namesIn(staging)) {
        if (!name.startsWith(".")) files.set(name, await way.byteLength(staging, name));
      }
    } catch (cause) {
      throw storageError(cause, "read the folder of", this.target);
    }
    return files;
  }

  async openStaged(path: string, isNew: boolean): Promise<OpenFile> {
    const { way, staging } = this.#parts;
    try {
      return await way.open(staging, path, isNew);
    } catch (cause) {
      throw storageError(cause, "open", `${path} of ${this.target}`);
    }
  }

  async deleteStaged(path: string): Promise<void> {
    try {
      await this.#parts.staging.removeEntry(path, { recursive: true });
    } catch (cause) {
      throw storageError(cause, "delete", `${path} of ${this.target}`);
    }
  }

  /** The newest that was written to its first end: its writer deleted the older ones only then. */
  async readJournal(): Promise<DecodedJournal | undefined> {
    const journals: DecodedJournal[] = [];
    for (const number of await this.#journals()) {
      const decoded = await this.#readJournal(`.journal-${number}`);
      if (decoded?.clean) return decoded;
      if (decoded) journals.push(decoded);
    }
    return journals.at(-1);
  }

  async createJournal(key: string, records: Iterable<JournalRecord>): Promise<JournalLog> {
    const { durable } = this.#parts;
    const older = await this.#journals();
    const name = `.journal-${(older[0] ?? 0) + 1}`;
    const file = await this.openStaged(name, true);
    try {
      const path = `${name} of ${this.target}`;
      const log = await JournalLog.begin(file, { key, home: HOME }, records, { path, durable });
      await file.sync();
      for (const number of older) await this.deleteStaged(`.journal-${number}`);
      return log;
    } catch (cause) {
      await file.close();
      throw storageError(cause, "write", `${name} of ${this.target}`);
    }
  }

  async isFinished({ fileName, byteLength }: FinishedFile): Promise<boolean> {
    return (await this.#finished(fileName))?.size === byteLength;
  }

  async refuseOther({ fileName, byteLength }: FinishedFile, overwrite: boolean): Promise<void> {
    const there = await this.#finished(fileName);
    if (there === undefined || overwrite) return;
    const { way, staging } = this.#parts;
    const staged = await way.blob(staging, this.stagedPath(fileName));
    if (there.size === byteLength && (await haveSameBytes(there, staged))) return;
    throw new StorageError(
      `Cannot write ${fileName} of ${this.target}: something else is there already; ask for it to be overwritten`,
    );
  }

  async finish(files: readonly FinishedFile[]): Promise<void> {
    const { way, staging, folder } = this.#parts;
    for (const { fileName } of files) {
      const name = safeFileName(fileName);
      try {
        await way.finish(staging, name, folder, name);
      } catch (cause) {
        throw storageError(cause, "put in its place", `${fileName} of ${this.target}`);
      }
    }
  }

  /** The journals go last, the newest at the very end: as long as files are there, they tell of them. */
  async clear(): Promise<void> {
    const { staging } = this.#parts;
    const names = (await namesIn(staging)).filter((name) => !JOURNAL.test(name));
    const journals = (await this.#journals()).map((number) => `.journal-${number}`).reverse();
    for (const name of [...names, ...journals]) await this.deleteStaged(name);
  }

  /** A lock here lasts as long as its holder. */
  check(): void {}

  async unlock(): Promise<void> {
    if (this.#isGiven) return;
    this.#isGiven = true;
    await this.#parts.onUnlock();
  }

  /** The numbers of the journals, the newest first. */
  async #journals(): Promise<number[]> {
    const numbers: number[] = [];
    for (const name of await namesIn(this.#parts.staging)) {
      const number = JOURNAL.exec(name)?.[1];
      if (number !== undefined) numbers.push(Number(number));
    }
    return numbers.sort((a, b) => b - a);
  }

  async #readJournal(name: string): Promise<DecodedJournal | undefined> {
    const file = await this.openStaged(name, false);
    try {
      const byteLength = await file.byteLength();
      if (byteLength > MAX_JOURNAL_BYTES) return undefined;
      const bytes = new Uint8Array(byteLength);
      return (await file.read(bytes, 0)) ? decodeJournal(bytes) : undefined;
    } catch (cause) {
      throw storageError(cause, "read", `${name} of ${this.target}`);
    } finally {
      await file.close();
    }
  }

  async #finished(fileName: string): Promise<File | undefined> {
    try {
      return await finishedFile(this.#parts.folder, fileName);
    } catch (cause) {
      throw storageError(cause, "look at", `${fileName} of ${this.target}`);
    }
  }
}

/** A file of an output that has its final name. */
export async function finishedFile(
  folder: FileSystemDirectoryHandle,
  fileName: string,
): Promise<File | undefined> {
  try {
    return await (await folder.getFileHandle(safeFileName(fileName))).getFile();
  } catch (cause) {
    if ((cause as DOMException).name === "NotFoundError") return undefined;
    throw cause;
  }
}

async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}

async function haveSameBytes(a: Blob, b: Blob): Promise<boolean> {
  if (a.size !== b.size) return false;
  for (let at = 0; at < a.size; at += LEAF_BYTES) {
    const [one, other] = await Promise.all(
      [a, b].map((blob) => blob.slice(at, at + LEAF_BYTES).arrayBuffer()),
    );
    if (!one || !other || !equalBytes(new Uint8Array(one), new Uint8Array(other))) return false;
  }
  return true;
}
