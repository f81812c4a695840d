// This module runs in every runtime.
import { systemClock } from "../clock.ts";
import { deflate } from "../codec/deflate.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { sha256 } from "../platform/sha256.ts";
import { DEFAULT_RETRY_POLICY } from "../retry.ts";
import { checkChunkBytes, MAX_CHUNK_BYTES } from "../tensor/chunk.ts";
import { DigestCache } from "../tensor/digest_cache.ts";
import type { Hello } from "../wire/messages.ts";
import { BufferPool } from "./buffer_pool.ts";
import type { TensorPeerOptions } from "./peer_options.ts";
import type { SessionContext } from "./session_context.ts";
import { DISK_TURNS, Turns } from "./turns.ts";

const DEFAULT_CHUNK_BYTES = 1024 * 1024;
const DEFAULT_THRESHOLD_BYTES = 4096;
const MOST_BUFFERS_KEPT = 12;

/**
 * What all transfers of a peer with these options share.
 *
 * @throws {RangeError} for a chunk size that is not a whole number from 1 KiB to 64 MiB.
 */
export function createContext(options: TensorPeerOptions): SessionContext {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const streaming = options.streaming ?? true;
  const maxRetries = options.retry?.maxRetries ?? DEFAULT_RETRY_POLICY.maxRetries;
  return {
    clock: options.clock ?? systemClock,
    limits,
    sha256: options.sha256 ?? sha256,
    digests: options.digests ?? new DigestCache(limits.maxCachedDigests),
    buffers: new BufferPool(MOST_BUFFERS_KEPT),
    disk: new Turns(DISK_TURNS),
    digest: options.digest ?? "sha256",
    codecs: streaming ? (options.codecs ?? [deflate]) : [],
    streaming,
    thresholdBytes: options.compressionThresholdBytes ?? DEFAULT_THRESHOLD_BYTES,
    chunkBytes: streaming
      ? checkChunkBytes(options.chunkBytes ?? DEFAULT_CHUNK_BYTES)
      : MAX_CHUNK_BYTES,
    maxRefetches: maxRetries === "unlimited" ? Number.POSITIVE_INFINITY : maxRetries,
  };
}

/** What a peer with these options says of itself. */
export function helloOf(options: TensorPeerOptions, { codecs, limits }: SessionContext): Hello {
  return {
    instance: options.instance ?? crypto.getRandomValues(new Uint8Array(16)),
    node: options.node ?? "headrace",
    role: options.role ?? "mixed",
    codecs: codecs.map((codec) => codec.name),
    features: [],
    maxChunkBytes: limits.maxChunkBytes,
    connectionCredit: limits.connectionWindowBytes,
    maxTransfers: limits.maxTransfers,
    maxRequests: limits.maxRequests,
    ...(options.token !== undefined && !options.accepted && { token: options.token }),
  };
}
