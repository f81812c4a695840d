// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";

/** A leaf all of whose bytes are here. */
export interface WholeLeaf {
  readonly index: number;
  /** Its bytes, in order. */
  readonly parts: readonly Uint8Array[];
}

interface OpenLeaf {
  parts: Uint8Array[];
  bytes: number;
}

/**
 * Puts uncompressed chunks together to leaves. Chunks of one leaf come in order; leaves may come in
 * any order. Copies nothing; holds what belongs to leaves that are not whole yet.
 */
export class LeafCollector {
  #byteLength: number;
  readonly #open = new Map<number, OpenLeaf>();

  /** @param byteLength The tensor's length. */
  constructor(byteLength: number) {
    this.#byteLength = byteLength;
  }

  /** The tensor, of unknown length until now, ends here. */
  settle(byteLength: number): void {
    this.#byteLength = byteLength;
  }

  /** Leaves of which a part is here. */
  get openLeaves(): number {
    return this.#open.size;
  }

  /** Forgets what is here of a leaf that is not whole; it begins anew. */
  drop(index: number): void {
    this.#open.delete(index);
  }

  /**
   * Takes a chunk and gives the leaves that it ended.
   *
   * @throws {ProtocolError} for a chunk that lies outside the tensor or is not the next of its leaf.
   */
  add(byteOffset: number, bytes: Uint8Array): WholeLeaf[] {
    if (byteOffset + bytes.byteLength > this.#byteLength) {
      throw new ProtocolError(
        `The peer sent bytes ${byteOffset} to ${byteOffset + bytes.byteLength} of a tensor of ${this.#byteLength}`,
      );
    }
    const whole: WholeLeaf[] = [];
    let at = 0;
    while (at < bytes.byteLength) {
      const index = Math.floor((byteOffset + at) / LEAF_BYTES);
      const within = byteOffset + at - index * LEAF_BYTES;
      const length = leafLength(index, this.#byteLength);
      const leaf = this.#open.get(index) ?? { parts: [], bytes: 0 };
      if (within !== leaf.bytes) {
        throw new ProtocolError(
          `The peer sent byte ${within} of leaf ${index} where byte ${leaf.bytes} was next`,
        );
      }
      const part = bytes.subarray(at, at + length - within);
      leaf.parts.push(part);
      leaf.bytes += part.byteLength;
      at += part.byteLength;
      if (leaf.bytes === length) {
        this.#open.delete(index);
        whole.push({ index, parts: leaf.parts });
      } else {
        this.#open.set(index, leaf);
      }
    }
    return whole;
  }
}
