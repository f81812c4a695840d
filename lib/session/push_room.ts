// This module runs in every runtime.
import { LimitError } from "../errors.ts";
import type { MemorySink } from "./memory_sink.ts";

/** What a store has beside pushes, which counts as well. */
export interface StoredAmount {
  readonly bytes: number;
  readonly tensors: number;
  /** Whether the push's own address is one of those. */
  readonly isThere: boolean;
}

/**
 * The memory that may go to pushes: promised when one begins, and kept by one that was given up for
 * the next attempt, as long as no other needs it.
 */
export class PushRoom {
  readonly #maxBytes: number;
  readonly #maxTensors: number;
  /** What pushes that were given up have verified, the oldest first. */
  readonly #partials = new Map<string, MemorySink>();
  #partialBytes = 0;
  #pushBytes = 0;
  #pushCount = 0;

  constructor(maxBytes: number, maxTensors: number) {
    this.#maxBytes = maxBytes;
    this.#maxTensors = maxTensors;
  }

  /** Bytes that are promised or kept. */
  get usedBytes(): number {
    return this.#pushBytes + this.#partialBytes;
  }

  /**
   * Promises memory to a push; partials give way to it.
   *
   * @throws {LimitError} when there is not enough, retryable when other pushes are all that is in
   *   the way.
   */
  take(key: string, byteLength: number, stored: StoredAmount): void {
    const tensors = stored.tensors + (stored.isThere ? 0 : 1);
    const fits = (otherBytes: number, others: number) =>
      stored.bytes + otherBytes + byteLength <= this.#maxBytes &&
      tensors + others <= this.#maxTensors;
    const fitsNow = () => fits(this.usedBytes, this.#pushCount + this.#partials.size);
    for (const oldest of this.#partials.keys()) {
      if (fitsNow()) break;
      this.drop(oldest);
    }
    if (!fitsNow()) {
      const usedBytes = stored.bytes + this.usedBytes;
      throw new LimitError(
        `There is no room for ${key} of ${byteLength} bytes: ${usedBytes} of ${this.#maxBytes} bytes and ${stored.tensors + this.#pushCount} of ${this.#maxTensors} tensors are taken`,
        { address: key, retryable: fits(0, 0) },
      );
    }
    this.#pushBytes += byteLength;
    this.#pushCount++;
  }

  /**
   * Promises more memory to a push that has some.
   *
   * @throws {LimitError} as {@linkcode PushRoom.take}.
   */
  more(key: string, byteLength: number, stored: StoredAmount): void {
    this.#pushCount--;
    try {
      this.take(key, byteLength, stored);
    } catch (error) {
      this.#pushCount++;
      throw error;
    }
  }

  /** The push is over. */
  give(byteLength: number): void {
    this.#pushBytes -= byteLength;
    this.#pushCount--;
  }

  /** Keeps what a push has verified, in place of what an earlier one has. */
  keep(key: string, memory: MemorySink): void {
    this.drop(key);
    this.#partials.set(key, memory);
    this.#partialBytes += memory.descriptor.byteLength;
  }

  /** Keeps nothing for the address any more. @returns what was kept. */
  drop(key: string): MemorySink | undefined {
    const partial = this.#partials.get(key);
    this.#partials.delete(key);
    this.#partialBytes -= partial?.descriptor.byteLength ?? 0;
    return partial;
  }
}
