// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { LeafBitmap, type LeafRange } from "../tensor/bitmap.ts";
import { leafLength } from "../tensor/leaf.ts";

/**
 * A sender's account of its leaves, to which what the receiver says of them is held: nothing is
 * safe, or damaged, before it was sent. Arithmetic only.
 */
export class SentLeaves {
  readonly #leafTotal: number;
  /** Leaves are sent in ascending order: of those from here on nothing was. */
  #begunLeaves = 0;
  /** What the receiver has, as far as it has said. */
  #safe: LeafBitmap;
  /** How many leaves wait to be sent again. */
  #againLeaves = 0;

  constructor(leafTotal: number) {
    this.#leafTotal = leafTotal;
    this.#safe = new LeafBitmap(leafTotal);
  }

  /** The receiver has these, and wants no others than the rest. */
  accepted(have: LeafBitmap): void {
    this.#safe = LeafBitmap.fromBytes(have.toBytes(), this.#leafTotal);
  }

  /** Of the leaves before this one, something is sent from now on, or nothing needs to be. */
  begun(endLeaf: number): void {
    this.#begunLeaves = Math.max(this.#begunLeaves, endLeaf);
  }

  /** Everything was sent: leaves that the receiver had before may turn out wrong. */
  completed(): void {
    this.#begunLeaves = this.#leafTotal;
  }

  /**
   * Leaves are safe at the receiver.
   *
   * @returns how many bytes more those are, however often the same is said.
   * @throws {ProtocolError} for leaves of which nothing was sent.
   */
  acknowledged(ranges: readonly LeafRange[], byteLength: number): number {
    this.#check(ranges);
    let bytes = 0;
    for (const { first, count } of ranges) {
      const end = first + count;
      let leaf = this.#safe.firstMissing(first, end);
      for (; leaf !== undefined; leaf = this.#safe.firstMissing(leaf + 1, end)) {
        this.#safe.set(leaf);
        bytes += leafLength(leaf, byteLength);
      }
    }
    return bytes;
  }

  /**
   * Leaves are asked for again.
   *
   * @throws {ProtocolError} for leaves of which nothing was sent, and when more wait than there are.
   */
  askedAgain(ranges: readonly LeafRange[]): void {
    this.#check(ranges);
    for (const { count } of ranges) this.#againLeaves += count;
    if (this.#againLeaves <= this.#leafTotal) return;
    throw new ProtocolError("The peer asked again for more leaves than the tensor has");
  }

  /** So many leaves that were asked for again wait no more. */
  answered(count: number): void {
    this.#againLeaves -= count;
  }

  #check(ranges: readonly LeafRange[]): void {
    for (const { first, count } of ranges) {
      if (first + count <= this.#begunLeaves) continue;
      throw new ProtocolError(`The peer spoke of leaf ${first + count - 1} before it was sent`);
    }
  }
}
