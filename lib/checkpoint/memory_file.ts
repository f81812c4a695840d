// This module runs in every runtime.
import type { StagedFile } from "./staged_file.ts";

const PAGE_BYTES = 64 * 1024;

/** A staged file in memory: pages that are there once they are written to. */
export class MemoryFile implements StagedFile {
  readonly #pages = new Map<number, Uint8Array>();
  readonly #onGrow: (byteLength: number) => void;
  #byteLength = 0;

  /** @param onGrow Told before memory is taken; what it throws keeps the bytes out. */
  constructor(onGrow: (byteLength: number) => void) {
    this.#onGrow = onGrow;
  }

  /** Memory that it has taken. */
  get heldBytes(): number {
    return this.#pages.size * PAGE_BYTES;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (const { page, inPage, at, length } of spans(position, bytes.byteLength)) {
      let memory = this.#pages.get(page);
      if (memory === undefined) {
        this.#onGrow(PAGE_BYTES);
        memory = new Uint8Array(PAGE_BYTES);
        this.#pages.set(page, memory);
      }
      memory.set(bytes.subarray(at, at + length), inPage);
    }
    this.#byteLength = Math.max(this.#byteLength, position + bytes.byteLength);
  }

  async read(into: Uint8Array, position: number): Promise<boolean> {
    if (position + into.byteLength > this.#byteLength) return false;
    for (const { page, inPage, at, length } of spans(position, into.byteLength)) {
      const memory = this.#pages.get(page)?.subarray(inPage, inPage + length);
      if (memory === undefined) into.fill(0, at, at + length);
      else into.set(memory, at);
    }
    return true;
  }

  async sync(): Promise<void> {}
}

/** The pieces of a range, each within one page. */
function* spans(position: number, byteLength: number) {
  for (let at = 0; at < byteLength; ) {
    const page = Math.floor((position + at) / PAGE_BYTES);
    const inPage = position + at - page * PAGE_BYTES;
    const length = Math.min(PAGE_BYTES - inPage, byteLength - at);
    yield { page, inPage, at, length };
    at += length;
  }
}
