// This module runs in every runtime.
import type { DigestMode } from "../wire/messages.ts";
import type { MemorySink } from "./memory_sink.ts";
import type { Transfer } from "./transfer.ts";

/** A tensor that is fetched, or was, before anybody asked for it. */
export interface Prefetch {
  readonly transfer: Transfer;
  readonly digest: DigestMode;
  /** Where it goes, once its length is known. */
  readonly sink: () => MemorySink | undefined;
}

/**
 * Tensors in memory that nobody has asked for yet, the oldest giving way: a real request takes one
 * over, running or done.
 */
export class Prefetches {
  readonly #maxBytes: number;
  readonly #kept = new Map<string, Prefetch>();

  /** @param maxBytes What all may take in memory. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How many are running or kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** What is known of an address. */
  get(key: string): Prefetch | undefined {
    return this.#kept.get(key);
  }

  /** Keeps one from now on; it makes room for itself when its length is known. */
  add(key: string, prefetch: Prefetch): void {
    this.#kept.set(key, prefetch);
    const failed = () => {
      if (this.#kept.get(key) === prefetch) this.#kept.delete(key);
    };
    prefetch.transfer.done.then(() => this.makeRoom(), failed);
  }

  /** Hands one over to whoever asks for it now. */
  take(key: string, digest: DigestMode): Prefetch | undefined {
    const found = this.#kept.get(key);
    if (found?.digest !== digest) return undefined;
    this.#kept.delete(key);
    return found;
  }

  /** Lets go of what is finished, the oldest first, until all fit. */
  makeRoom(): void {
    let bytes = 0;
    for (const { transfer } of this.#kept.values()) bytes += transfer.descriptor?.byteLength ?? 0;
    for (const [key, { transfer }] of this.#kept) {
      if (bytes <= this.#maxBytes) return;
      bytes -= transfer.descriptor?.byteLength ?? 0;
      transfer.cancel(new DOMException("The prefetched tensor gave way to another", "AbortError"));
      this.#kept.delete(key);
    }
  }

  /** Lets go of everything. */
  clear(): void {
    this.#kept.clear();
  }
}
