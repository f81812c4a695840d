import type { OpenFile } from "./staged_file.ts";

/** A leaf that lies where pages begin is one write; any other is two. */
export const PAGE_BYTES: number = 1024 * 1024;

/**
 * A file on a page, where every write makes a copy of the file and puts it in the old one's place:
 * kept as a folder of pages, so that no copy is larger than one of those.
 */
export class OpfsPagedFile implements OpenFile {
  readonly #folder: FileSystemDirectoryHandle;
  /** Of two writes to a page at once the later would undo the earlier. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param folder Holds the pages, each named by its number. */
  constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.#inTurn(async () => {
      for (let at = 0; at < bytes.byteLength; ) {
        const page = Math.floor((position + at) / PAGE_BYTES);
        const inPage = position + at - page * PAGE_BYTES;
        const part = bytes.subarray(at, at + PAGE_BYTES - inPage);
        const isWhole = part.byteLength === PAGE_BYTES;
        await this.#change(page, isWhole, (page) =>
          page.write({
            type: "write",
            position: inPage,
            data: part as Uint8Array<ArrayBuffer>,
          }),
        );
        at += part.byteLength;
      }
    });
  }

  async read(into: Uint8Array, position: number): Promise<boolean> {
    for (let at = 0; at < into.byteLength; ) {
      const page = Math.floor((position + at) / PAGE_BYTES);
      const inPage = position + at - page * PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - inPage, into.byteLength - at);
      const file = await pageFile(this.#folder, page);
      if (file === undefined || file.size < inPage + length) return false;
      const part = await file.slice(inPage, inPage + length).arrayBuffer();
      into.set(new Uint8Array(part), at);
      at += length;
    }
    return true;
  }

  /** Closing a page's copy has put it where it stays. */
  async sync(): Promise<void> {}

  async byteLength(): Promise<number> {
    const last = Math.max(...(await pageNumbers(this.#folder)));
    const file = last < 0 ? undefined : await pageFile(this.#folder, last);
    return file === undefined ? 0 : last * PAGE_BYTES + file.size;
  }

  truncate(byteLength: number): Promise<void> {
    return this.#inTurn(async () => {
      const last = Math.floor(byteLength / PAGE_BYTES);
      for (const page of await pageNumbers(this.#folder)) {
        if (page > last) await this.#folder.removeEntry(String(page));
      }
      const inPage = byteLength - last * PAGE_BYTES;
      if (inPage > 0) await this.#change(last, false, (page) => page.truncate(inPage));
      else if (await pageFile(this.#folder, last)) await this.#folder.removeEntry(String(last));
    });
  }

  async close(): Promise<void> {
    await this.#last;
  }

  async #change(
    page: number,
    isWhole: boolean,
    work: (page: FileSystemWritableFileStream) => Promise<void>,
  ): Promise<void> {
    const handle = await this.#folder.getFileHandle(String(page), { create: true });
    const writable = await handle.createWritable({ keepExistingData: !isWhole });
    try {
      await work(writable);
      await writable.close();
    } catch (cause) {
      await writable.abort().catch(() => {});
      throw cause;
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** The pages of a file as one blob, from which nothing is read yet; without holes. */
export async function pagesBlob(folder: FileSystemDirectoryHandle): Promise<Blob> {
  const numbers = (await pageNumbers(folder)).filter((page) => page >= 0).sort((a, b) => a - b);
  const files = await Promise.all(numbers.map((page) => pageFile(folder, page)));
  return new Blob(files.filter((file) => file !== undefined));
}

/** The numbers of the pages, and -1. */
async function pageNumbers(folder: FileSystemDirectoryHandle): Promise<number[]> {
  const numbers = [-1];
  for await (const name of folder.keys()) if (/^\d+$/.test(name)) numbers.push(Number(name));
  return numbers;
}

async function pageFile(
  folder: FileSystemDirectoryHandle,
  page: number,
): Promise<File | undefined> {
  try {
    return await (await folder.getFileHandle(String(page))).getFile();
  } catch (cause) {
    if ((cause as DOMException).name === "NotFoundError") return undefined;
    throw cause;
  }
}
