// This module runs in every runtime.
import { LimitError } from "../errors.ts";

/** Counts the memory that the outputs of one store take together. */
export class MemoryRoom {
  readonly #maxBytes: number;
  #takenBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws {LimitError} before memory is taken that is not left. */
  take(byteLength: number): void {
    if (this.#takenBytes + byteLength > this.#maxBytes) {
      throw new LimitError(
        `Cannot keep ${byteLength} bytes more in memory: ${this.#takenBytes} of at most ${this.#maxBytes} are taken`,
      );
    }
    this.#takenBytes += byteLength;
  }

  give(byteLength: number): void {
    this.#takenBytes -= byteLength;
  }
}
