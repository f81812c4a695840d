// This module runs in every runtime.

/** Keeps a few buffers for reuse, so that steady traffic neither faults in new pages nor feeds the collector. */
export class BufferPool {
  readonly #mostKept: number;
  readonly #free: Uint8Array[] = [];

  /** @param mostKept How many unused buffers are held on to. */
  constructor(mostKept: number) {
    this.#mostKept = mostKept;
  }

  /** A buffer of exactly this length; its content is left over from earlier use. */
  take(byteLength: number): Uint8Array {
    const at = this.#free.findLastIndex((buffer) => buffer.buffer.byteLength >= byteLength);
    const found = at < 0 ? undefined : this.#free.splice(at, 1)[0];
    return found ? new Uint8Array(found.buffer, 0, byteLength) : new Uint8Array(byteLength);
  }

  /** Gives back a buffer that nobody reads or writes any more. */
  give(buffer: Uint8Array): void {
    if (this.#free.length < this.#mostKept) this.#free.push(buffer);
  }

  /** Lets go of what is kept. */
  clear(): void {
    this.#free.length = 0;
  }
}
