import type { OpenFile } from "./staged_file.ts";

/** A file of the browser's that is open for synchronous access, which only dedicated workers have. */
export interface SyncAccessHandle {
  read(into: Uint8Array, options: { readonly at: number }): number;
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  truncate(byteLength: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** A file in a worker: each call is done when it returns. */
export class OpfsSyncFile implements OpenFile {
  readonly #handle: SyncAccessHandle;

  constructor(handle: SyncAccessHandle) {
    this.#handle = handle;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < bytes.byteLength; ) {
      at += this.#handle.write(bytes.subarray(at), { at: position + at });
    }
  }

  async read(into: Uint8Array, position: number): Promise<boolean> {
    for (let at = 0; at < into.byteLength; ) {
      const readBytes = this.#handle.read(into.subarray(at), { at: position + at });
      if (readBytes === 0) return false;
      at += readBytes;
    }
    return true;
  }

  async sync(): Promise<void> {
    this.#handle.flush();
  }

  async byteLength(): Promise<number> {
    return this.#handle.getSize();
  }

  async truncate(byteLength: number): Promise<void> {
    this.#handle.truncate(byteLength);
  }

  async close(): Promise<void> {
    this.#handle.close();
  }
}
