import type { FileHandle } from "node:fs/promises";
import { readFully, writeFully } from "./file_access.ts";
import type { StagedFile } from "./staged_file.ts";

/** A staged file on a disk. */
export class DiskFile implements StagedFile {
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
}
