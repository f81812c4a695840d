// This module runs in every runtime.
import type { OpenFile } from "./staged_file.ts";

interface Opened {
  readonly file: OpenFile;
  users: number;
}

/**
 * The open files of an output, at most `maxOpen` at once: the one unused for longest is closed for
 * the next, and a caller waits while all are in use.
 */
export class FileHandles {
  readonly #maxOpen: number;
  readonly #openFile: (path: string, isNew: boolean) => Promise<OpenFile>;
  /** Files that are on the disk: these must be there when they are opened again. */
  readonly #present: Set<string>;
  /** In the order of their last use. */
  readonly #opened = new Map<string, Promise<Opened>>();
  /** Files that are being closed, and still open. */
  #closing = 0;
  readonly #waiting: (() => void)[] = [];

  /**
   * @param present The files that are there already.
   * @param openFile Opens a file, which must be there, or must not be when it `isNew`.
   */
  constructor(
    present: Iterable<string>,
    maxOpen: number,
    openFile: (path: string, isNew: boolean) => Promise<OpenFile>,
  ) {
    this.#present = new Set(present);
    this.#maxOpen = maxOpen;
    this.#openFile = openFile;
  }

  /** Lends the file to `work`, making it when this output has not had it before. */
  async use<T>(path: string, work: (file: OpenFile) => Promise<T>): Promise<T> {
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
      await opened?.file.close();
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
    const opening = this.#openOne(path);
    opening.catch(() => {
      if (this.#opened.get(path) === opening) this.#opened.delete(path);
      this.#waiting.shift()?.();
    });
    return opening;
  }

  async #openOne(path: string): Promise<Opened> {
    // A file that was there and has vanished must not come back with holes in it.
    const file = await this.#openFile(path, !this.#present.has(path));
    this.#present.add(path);
    return { file, users: 0 };
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
        await opened.file.close();
      } finally {
        this.#closing--;
      }
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
