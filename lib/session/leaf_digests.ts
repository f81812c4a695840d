// This module runs in every runtime.
import type { Sha256 } from "../platform/sha256.ts";
import type { DigestCache } from "../tensor/digest_cache.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
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
  readonly leafTotal: number;
  readonly #options: LeafDigestsOptions;

  constructor(options: LeafDigestsOptions) {
    this.#options = options;
    this.leafTotal = leafCount(options.source.descriptor.byteLength);
  }

  /** The digest of a leaf whose bytes are at hand. */
  async ofBytes(index: number, bytes: Uint8Array): Promise<Uint8Array> {
    const { cache, key, version, sha256 } = this.#options;
    const known = cache.get(key, version, index);
    if (known) return known;
    const digest = await sha256([bytes]);
    cache.set(key, version, this.leafTotal, index, digest);
    return digest;
  }

  /** The digest of a leaf, read from the source where it is not known. */
  async of(index: number): Promise<Uint8Array> {
    const { cache, key, version, source, buffers } = this.#options;
    const known = cache.get(key, version, index);
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
}
