// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Compression } from "../codec/compression.ts";
import type { Limits } from "../limits.ts";
import type { Sha256 } from "../platform/sha256.ts";
import type { DigestCache } from "../tensor/digest_cache.ts";
import type { DigestMode } from "../wire/messages.ts";
import type { BufferPool } from "./buffer_pool.ts";
import type { Turns } from "./turns.ts";

/** What all transfers of a peer share. */
export interface SessionContext {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly sha256: Sha256;
  readonly digests: DigestCache;
  readonly buffers: BufferPool;
  /** Orders the writes of sinks that share a disk. */
  readonly disk: Turns;
  /** The compressions this end can do and undo, the preferred first; empty when it is switched off. */
  readonly codecs: readonly Compression[];
  /** Chunks below this length are sent raw. */
  readonly thresholdBytes: number;
  readonly chunkBytes: number;
  /** Whether tensors move in chunks, resumably; without it each is one chunk and begins anew. */
  readonly streaming: boolean;
  /** Whether leaves carry digests where a transfer does not say. */
  readonly digest: DigestMode;
  /** How often a damaged leaf is fetched again. */
  readonly maxRefetches: number;
}
