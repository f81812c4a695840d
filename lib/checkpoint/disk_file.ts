import type { FileHandle } from "node:fs/promises";
import { readFully, writeFully } from "./file_access.ts";
import type { OpenFile } from "./staged_file.ts";

/** A file of ours on a disk. */
export class DiskFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return writeFully(this.#handle, bytes, position);
  }

  read(into: Uint8Array, position: number): Promise<boolean> {
    return readFully(this.#handle, into, position);
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  async byteLength(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  truncate(byteLength: number): Promise<void> {
    return this.#handle.truncate(byteLength);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
