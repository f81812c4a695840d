import { constants, writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errnoOf, storageError } from "./storage_error.ts";

/** Not on Windows, where it reads as no flag at all. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

/** Below this, handing a write to another thread costs many times what the write itself does. */
const WRITTEN_AT_ONCE_BYTES = 64 * 1024;

interface Opened {
  readonly handle: FileHandle;
  users: number;
}

/** Opens a file of ours for reading and writing, never through a symbolic link. */
export async function openOwn(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags | constants.O_RDWR | NO_FOLLOW, 0o666);
  } catch (cause) {
    throw storageError(cause, "open", path);
  }
}

/** Puts a folder's entries on the disk, where the system can (Windows cannot, and need not). */
export async function syncFolder(path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY);
    await handle.sync();
  } catch (cause) {
    if (!["EISDIR", "EPERM", "EACCES", "EINVAL"].includes(errnoOf(cause) ?? "")) {
      throw storageError(cause, "sync", path);
    }
  } finally {
    await handle?.close();
  }
}

/** Writes all of the bytes: a single call may take fewer. */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const left = bytes.byteLength - at;
    if (left < WRITTEN_AT_ONCE_BYTES) at += writeSync(handle.fd, bytes, at, left, position + at);
    else at += (await handle.write(bytes, at, left, position + at)).bytesWritten;
  }
}

/** Fills `into`; false when the file ends before that. */
export async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
): Promise<boolean> {
  for (let at = 0; at < into.byteLength; ) {
    const { bytesRead } = await handle.read(into, at, into.byteLength - at, position + at);
    if (bytesRead === 0) return false;
    at += bytesRead;
  }
  return true;
}

/**
 * The open files of an output, at most `maxOpen` at once: the one unused for longest is closed for
 * the next, and a caller waits while all are in use.
 */
export class FileHandles {
  readonly #maxOpen: number;
  readonly #beforeOpen: () => void;
  /** Files that are on the disk: these must be there when they are opened again. */
  readonly #present: Set<string>;
  /** In the order of their last use. */
  readonly #opened = new Map<string, Promise<Opened>>();
  /** Files that are being closed, and still open. */
  #closing = 0;
  readonly #waiting: (() => void)[] = [];

  /**
   * @param present The files that are there already.
   * @param beforeOpen Throws when files may not be opened any more.
   */
  constructor(present: Iterable<string>, maxOpen: number, beforeOpen: () => void) {
    this.#present = new Set(present);
    this.#maxOpen = maxOpen;
    this.#beforeOpen = beforeOpen;
  }

  /** Lends the file to `work`, making it when this output has not had it before. */
  async use<T>(path: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    const opened = await this.#borrow(path);
    try {
      return await work(opened.handle);
    } finally {
      opened.users--;
      this.#waiting.shift()?.();
    }
  }

  /** Closes all; nobody may be using one. */
  async closeAll(): Promise<void> {
    const all = [...this.#opened.values()];
    this.#opened.clear();
    for (const opening of all) {
      const opened = await opening.catch(() => undefined);
      await opened?.handle.close();
    }
  }

  async #borrow(path: string): Promise<Opened> {
    for (;;) {
      let opening = this.#opened.get(path);
      if (opening === undefined) {
        if (this.#isFull()) await this.#closeIdle();
        if (this.#opened.has(path) || this.#isFull()) continue; // others ran meanwhile
        opening = this.#open(path);
      }
      this.#opened.delete(path);
      this.#opened.set(path, opening);
      const opened = await opening;
      if (this.#opened.get(path) !== opening) continue; // closed meanwhile
      opened.users++;
      return opened;
    }
  }

  #open(path: string): Promise<Opened> {
    const opening = this.#openFile(path);
    opening.catch(() => {
      if (this.#opened.get(path) === opening) this.#opened.delete(path);
      this.#waiting.shift()?.();
    });
    return opening;
  }

  async #openFile(path: string): Promise<Opened> {
    this.#beforeOpen();
    // A file that was there and has vanished must not come back with holes in it.
    const isNew = !this.#present.has(path);
    const handle = await openOwn(path, isNew ? constants.O_CREAT | constants.O_EXCL : 0);
    this.#present.add(path);
    return { handle, users: 0 };
  }

  #isFull(): boolean {
    return this.#opened.size + this.#closing >= this.#maxOpen;
  }

  /** Closes the file unused for longest, or waits for one to become unused. */
  async #closeIdle(): Promise<void> {
    for (const [path, opening] of this.#opened) {
      const opened = await opening.catch(() => undefined);
      if (opened === undefined || this.#opened.get(path) !== opening) return; // all may have changed
      if (opened.users > 0) continue;
      this.#opened.delete(path);
      this.#closing++;
      try {
        await opened.handle.close();
      } finally {
        this.#closing--;
      }
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
