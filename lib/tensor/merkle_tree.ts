// This module runs in every runtime.
import type { Sha256 } from "../platform/sha256.ts";
import { DIGEST_BYTES, innerNode, leafNode } from "./merkle.ts";
import { siblingsOf } from "./proof.ts";

/** The nodes of one level, one after another. */
type Level = Uint8Array;

/**
 * The tree over a tensor's leaf digests with all its nodes, so that any range is proven without
 * hashing anything again: 64 bytes a leaf. A node without a right neighbour stands for itself one
 * level higher, which gives the shape of RFC 6962.
 */
export class MerkleTree {
  readonly leafTotal: number;
  readonly #levels: readonly Level[];

  private constructor(leafTotal: number, levels: readonly Level[]) {
    this.leafTotal = leafTotal;
    this.#levels = levels;
  }

  /** Hashes every node once; at least one leaf. */
  static async over(digests: readonly Uint8Array[], sha256: Sha256): Promise<MerkleTree> {
    let level: Level = new Uint8Array(digests.length * DIGEST_BYTES);
    for (const [n, digest] of digests.entries()) {
      const node = leafNode(digest, sha256);
      level.set(node instanceof Promise ? await node : node, n * DIGEST_BYTES);
    }
    const levels = [level];
    while (level.byteLength > DIGEST_BYTES) {
      const count = level.byteLength / DIGEST_BYTES;
      const above: Level = new Uint8Array(Math.ceil(count / 2) * DIGEST_BYTES);
      for (let n = 0; n < count; n += 2) {
        const left = nodeOf(level, n);
        const node = n + 1 < count ? innerNode(left, nodeOf(level, n + 1), sha256) : left;
        above.set(node instanceof Promise ? await node : node, (n / 2) * DIGEST_BYTES);
      }
      levels.push(above);
      level = above;
    }
    return new MerkleTree(digests.length, levels);
  }

  /** The top of the tree. */
  get top(): Uint8Array {
    return (this.#levels.at(-1) as Level).slice();
  }

  /**
   * As `createRangeProof`.
   *
   * @throws {RangeError} for a range that is empty or not within the tensor.
   */
  proof(first: number, count: number): Uint8Array {
    const siblings = siblingsOf(this.leafTotal, first, count);
    const proof = new Uint8Array(siblings.length * DIGEST_BYTES);
    for (const [place, { from, end }] of siblings.entries()) {
      // The lowest level at which one node stands for as many leaves.
      let height = 0;
      while (2 ** height < end - from) height++;
      proof.set(nodeOf(this.#levels[height] as Level, from / 2 ** height), place * DIGEST_BYTES);
    }
    return proof;
  }
}

function nodeOf(level: Level, n: number): Uint8Array {
  return level.subarray(n * DIGEST_BYTES, (n + 1) * DIGEST_BYTES);
}
