// This module runs in every runtime.
import type { LeafBitmap } from "../tensor/bitmap.ts";

/** A frame that may have to be sent again, and the leaves it carries a part of. */
export interface ReplayEntry {
  readonly frame: Uint8Array;
  readonly firstLeaf: number;
  readonly lastLeaf: number;
  /** Where its chunk ends in the tensor; 0 for a frame that needs no credit. */
  readonly endOffset: number;
}

/** Keeps frames, in order, until every leaf of theirs is safe at the other end. */
export class ReplayBuffer {
  #entries: ReplayEntry[] = [];
  #bytes = 0;
  /** The first entry that has not been sent over the connection at hand. */
  #next = 0;

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  push(entry: ReplayEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.frame.byteLength;
  }

  /** The next frame to send, which stays the next until `advance`. */
  get next(): ReplayEntry | undefined {
    return this.#entries[this.#next];
  }

  /** The next frame has been sent. */
  advance(): void {
    this.#next++;
  }

  /** A new connection: everything that is kept is to be sent again. */
  rewind(): void {
    this.#next = 0;
  }

  /** Drops what is safe. */
  trim(safe: LeafBitmap): void {
    const isSafe = ({ firstLeaf, lastLeaf }: ReplayEntry): boolean => {
      for (let leaf = firstLeaf; leaf <= lastLeaf; leaf++) if (!safe.has(leaf)) return false;
      return true;
    };
    const kept: ReplayEntry[] = [];
    let next = this.#next;
    for (const [at, entry] of this.#entries.entries()) {
      if (!isSafe(entry)) {
        kept.push(entry);
        continue;
      }
      this.#bytes -= entry.frame.byteLength;
      if (at < this.#next) next--;
    }
    this.#entries = kept;
    this.#next = next;
  }

  /** What is kept of one leaf. */
  *ofLeaf(leaf: number): Generator<ReplayEntry> {
    for (const entry of this.#entries) {
      if (entry.firstLeaf <= leaf && leaf <= entry.lastLeaf) yield entry;
    }
  }
}
