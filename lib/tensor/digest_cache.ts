// This module runs in every runtime.
import { DEFAULT_LIMITS } from "../limits.ts";
import type { Sha256 } from "../platform/sha256.ts";
import { LeafBitmap } from "./bitmap.ts";
import { equalBytes } from "./bytes.ts";
import { checkDigest, DIGEST_BYTES } from "./merkle.ts";
import { MerkleTree } from "./merkle_tree.ts";
import type { SourceVersion } from "./source.ts";

/** What is known of one version of one tensor. */
interface Entry {
  readonly version: SourceVersion;
  readonly known: LeafBitmap;
  readonly digests: Uint8Array;
  /** Made once all digests are known and somebody asks. */
  tree?: Promise<MerkleTree>;
}

/**
 * Leaf digests of what has been hashed, so that ranges are proven at once and a resumed sender need
 * not read what it skips. Keyed by a tensor's address in text form and its source's version; of a
 * tensor only one version is kept, of all tensors those that were used last.
 *
 * @example
 * ```ts
 * import { DigestCache, sha256 } from "headrace";
 *
 * const cache = new DigestCache();
 * const version = Uint8Array.of(1);
 * cache.set("gpt2/default/wte", version, 1, 0, await sha256([new Uint8Array(24)]));
 * console.log(cache.all("gpt2/default/wte", version, 1)?.length); // 1
 * ```
 */
export class DigestCache {
  readonly #maxDigests: number;
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #digests = 0;

  /**
   * @param maxDigests The most digests to keep room for; 32 bytes each. Default 1,048,576.
   *   A tensor with more leaves than that is not cached.
   */
  constructor(maxDigests: number = DEFAULT_LIMITS.maxCachedDigests) {
    if (!Number.isSafeInteger(maxDigests) || maxDigests < 0) {
      throw new RangeError(`maxDigests must be a whole number from 0 on, found ${maxDigests}`);
    }
    this.#maxDigests = maxDigests;
  }

  /** How many digests room is kept for: the leaves of all cached tensors. */
  get reservedDigests(): number {
    return this.#digests;
  }

  /** A copy of the digest of one leaf, where it is known. */
  get(key: string, version: SourceVersion, index: number): Uint8Array | undefined {
    const entry = this.#use(key, version);
    if (entry === undefined || !(index < entry.known.leafTotal) || !entry.known.has(index)) {
      return undefined;
    }
    return entry.digests.slice(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
  }

  /** Copies of the digests of all leaves in order, where every one is known. */
  all(key: string, version: SourceVersion, leafTotal: number): Uint8Array[] | undefined {
    if (leafTotal === 0) return [];
    const entry = this.#use(key, version);
    if (entry?.known.leafTotal !== leafTotal || !entry.known.isFull) return undefined;
    const copy = entry.digests.slice();
    return Array.from({ length: leafTotal }, (_, index) =>
      copy.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES),
    );
  }

  /** The tree over the digests of all leaves, at least one, where every one is known. */
  tree(
    key: string,
    version: SourceVersion,
    leafTotal: number,
    sha256: Sha256,
  ): Promise<MerkleTree> | undefined {
    const entry = leafTotal === 0 ? undefined : this.#use(key, version);
    if (!entry) return undefined;
    if (!entry.tree) {
      const digests = this.all(key, version, leafTotal);
      if (!digests) return undefined;
      entry.tree = MerkleTree.over(digests, sha256);
    }
    return entry.tree;
  }

  /**
   * Notes the digest of one leaf. What was known of another version of the tensor is dropped.
   *
   * @throws {RangeError} for a leaf that a tensor of `leafTotal` leaves does not have, or a digest
   *   that is not 32 bytes.
   */
  set(
    key: string,
    version: SourceVersion,
    leafTotal: number,
    index: number,
    digest: Uint8Array,
  ): void {
    checkDigest(digest, "A leaf digest");
    if (!Number.isInteger(index) || index < 0 || index >= leafTotal) {
      throw new RangeError(`The tensor has ${leafTotal} leaves, found leaf ${index}`);
    }
    let entry = this.#use(key, version);
    if (entry?.known.leafTotal !== leafTotal) entry = this.#add(key, version, leafTotal);
    if (entry?.tree && !equalBytes(digest, digestAt(entry.digests, index))) delete entry.tree;
    entry?.known.set(index);
    entry?.digests.set(digest, index * DIGEST_BYTES);
  }

  /** The entry of this very version, from now on the most recently used. */
  #use(key: string, version: SourceVersion): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || !equalBytes(entry.version, version)) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  #add(key: string, version: SourceVersion, leafTotal: number): Entry | undefined {
    this.#drop(key);
    if (leafTotal > this.#maxDigests) return undefined;
    for (const oldest of this.#entries.keys()) {
      if (this.#digests + leafTotal <= this.#maxDigests) break;
      this.#drop(oldest);
    }
    const entry: Entry = {
      version: version.slice(),
      known: new LeafBitmap(leafTotal),
      digests: new Uint8Array(leafTotal * DIGEST_BYTES),
    };
    this.#entries.set(key, entry);
    this.#digests += leafTotal;
    return entry;
  }

  #drop(key: string): void {
    this.#digests -= this.#entries.get(key)?.known.leafTotal ?? 0;
    this.#entries.delete(key);
  }
}

function digestAt(digests: Uint8Array, index: number): Uint8Array {
  return digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
}
