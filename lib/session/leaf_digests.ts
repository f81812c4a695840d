// This module runs in every runtime.
import type { Sha256 } from "../platform/sha256.ts";
import type { DigestCache } from "../tensor/digest_cache.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
import type { MerkleTree } from "../tensor/merkle_tree.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import type { BufferPool } from "./buffer_pool.ts";

/** What {@linkcode LeafDigests} works with. */
export interface LeafDigestsOptions {
  readonly source: TensorSource;
  /** The version under which digests are remembered. */
  readonly version: SourceVersion;
  /** The tensor's name in the cache. */
  readonly key: string;
  readonly cache: DigestCache;
  readonly sha256: Sha256;
  readonly buffers: BufferPool;
}

/** The digests of one source's leaves: remembered where it was hashed before, read and hashed where not. */
export class LeafDigests {
  readonly #options: LeafDigestsOptions;
  #leafTotal: number;

  constructor(options: LeafDigestsOptions) {
    this.#options = options;
    this.#leafTotal = leafCount(options.source.descriptor.byteLength);
  }

  /** How many leaves the tensor has, or may have. */
  get leafTotal(): number {
    return this.#leafTotal;
  }

  /** The tensor turned out to have so many leaves. */
  settle(leafTotal: number): void {
    this.#leafTotal = leafTotal;
  }

  /** The tree over all leaves, where every one is known. */
  tree(): Promise<MerkleTree> | undefined {
    const { cache, key, version, sha256 } = this.#options;
    return cache.tree(key, version, this.#leafTotal, sha256);
  }

  /** The digest of a leaf whose bytes are at hand. */
  async ofBytes(index: number, bytes: Uint8Array): Promise<Uint8Array> {
    const { cache, key, version, sha256, source } = this.#options;
    const known = this.#known(index);
    if (known) return known;
    const found = sha256([bytes]);
    const digest = found instanceof Promise ? await found : found;
    if (source.leafDigests) source.leafDigests.set(index, digest);
    else cache.set(key, version, this.#leafTotal, index, digest);
    return digest;
  }

  /** As `of`, but `undefined` where the leaf would have to be read from a source that is read once. */
  async ofHeld(index: number): Promise<Uint8Array | undefined> {
    return this.#options.source.isReadOnce ? this.#known(index) : this.of(index);
  }

  /** The digest of a leaf, read from the source where it is not known. */
  async of(index: number): Promise<Uint8Array> {
    const { source, buffers } = this.#options;
    const known = this.#known(index);
    if (known) return known;
    const byteLength = leafLength(index, source.descriptor.byteLength);
    if (source.view) return this.ofBytes(index, source.view(index * LEAF_BYTES, byteLength));
    const buffer = buffers.take(byteLength);
    try {
      await source.read(index * LEAF_BYTES, buffer);
      return await this.ofBytes(index, buffer);
    } finally {
      buffers.give(buffer);
    }
  }

  #known(index: number): Uint8Array | undefined {
    const { cache, key, version, source } = this.#options;
    return source.leafDigests?.get(index) ?? cache.get(key, version, index);
  }
}
