import { constants } from "node:fs";
import { type FileHandle, rm } from "node:fs/promises";
import { DiskFile } from "./disk_file.ts";
import { openOwn } from "./file_access.ts";
import type { StagedFile } from "./staged_file.ts";

interface Opened {
  readonly handle: FileHandle;
  readonly file: StagedFile;
  users: number;
}

/**
 * The open files of an output, at most `maxOpen` at once: the one unused for longest is closed for
 * the next, and a caller waits while all are in use.
 */
export class FileHandles {
  readonly #maxOpen: number;
  readonly #beforeOpen: () => void;
  readonly #onMade: (() => Promise<void>) | undefined;
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
   * @param onMade Done after a file was made, before anybody writes to it.
   */
  constructor(
    present: Iterable<string>,
    maxOpen: number,
    beforeOpen: () => void,
    onMade?: () => Promise<void>,
  ) {
    this.#present = new Set(present);
    this.#maxOpen = maxOpen;
    this.#beforeOpen = beforeOpen;
    this.#onMade = onMade;
  }

  /** Lends the file to `work`, making it when this output has not had it before. */
  async use<T>(path: string, work: (file: StagedFile) => Promise<T>): Promise<T> {
    const opened = await this.#borrow(path);
    try {
      return await work(opened.file);
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
    try {
      if (isNew) await this.#onMade?.();
    } catch (cause) {
      await handle.close();
      await rm(path, { force: true }); // empty: the next try makes it anew
      throw cause;
    }
    this.#present.add(path);
    return { handle, file: new DiskFile(handle), users: 0 };
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
