// This module runs in every runtime.
import type { LeafBitmap } from "../tensor/bitmap.ts";
import type { ReplayEntry } from "./replay_entry.ts";

/** Keeps frames, in order, until every leaf of theirs is safe at the other end. */
export class ReplayBuffer {
  #entries: ReplayEntry[] = [];
  #bytes = 0;
  /** The first entry that has not been sent over the connection at hand. */
  #next = 0;
  /** Leaves that the other end wants once more. */
  readonly #again = new Set<number>();

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

  /** Whether the chunk that came in last is here in whole. */
  get endsChunk(): boolean {
    return this.#entries.at(-1)?.endsChunk ?? true;
  }

  /** Whether a chunk has been sent in part. */
  get isMidChunk(): boolean {
    return this.#entries[this.#next - 1]?.endsChunk === false;
  }

  /** A new connection: everything that is kept is to be sent again. */
  rewind(): void {
    this.#next = 0;
    this.#again.clear();
  }

  /** The other end wants a leaf once more. */
  ask(leaf: number): void {
    this.#again.add(leaf);
  }

  /**
   * The frames to send once more for a leaf that was asked for, or none: not between a chunk's
   * fragments, and not before the leaf has been sent as a whole.
   */
  takeAgain(): readonly ReplayEntry[] {
    if (this.#again.size === 0 || this.isMidChunk) return [];
    const sent = this.#entries.slice(0, this.#next);
    for (const leaf of this.#again) {
      const holds = ({ firstLeaf, lastLeaf }: ReplayEntry) => firstLeaf <= leaf && leaf <= lastLeaf;
      const chunks = sent.filter((entry) => entry.endOffset > 0 && holds(entry));
      const [chunk] = chunks;
      if (!chunk || !chunks.some(({ endsLeaf }) => endsLeaf)) continue;
      // A chunk of several leaves cannot be cut, so all of them go once more.
      const { firstLeaf, lastLeaf } = chunk;
      for (let one = firstLeaf; one <= lastLeaf; one++) this.#again.delete(one);
      return sent.filter((entry) => entry.lastLeaf >= firstLeaf && entry.firstLeaf <= lastLeaf);
    }
    return [];
  }

  /** Drops what is safe. */
  trim(safe: LeafBitmap): void {
    const kept: ReplayEntry[] = [];
    let next = this.#next;
    for (const [at, entry] of this.#entries.entries()) {
      if (!isSafe(entry, safe)) {
        kept.push(entry);
        continue;
      }
      this.#bytes -= entry.frame.byteLength;
      if (at < this.#next) next--;
    }
    this.#entries = kept;
    this.#next = next;
  }
}

/** Whether the other end has every leaf of which the frame carries a part. */
export function isSafe({ firstLeaf, lastLeaf }: ReplayEntry, safe: LeafBitmap): boolean {
  for (let leaf = firstLeaf; leaf <= lastLeaf; leaf++) if (!safe.has(leaf)) return false;
  return true;
}
