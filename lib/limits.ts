// This module runs in every runtime.

const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * Every bound that headrace enforces before it allocates or believes, with its unit in its name.
 * A peer's own copy can be lowered or raised through its options.
 */
export interface Limits {
  /** A tensor. What is kept for each of its leaves is 32 bytes and a bit. */
  maxTensorBytes: number;
  /** A chunk of a tensor, uncompressed; also the most that one codec call may produce. */
  maxChunkBytes: number;
  /** A control frame's payload, its check included. */
  maxControlBytes: number;
  /** A page of a have-bitmap, of digests or of a listing. */
  maxPageBytes: number;
  /** One name of an address, in UTF-8. */
  maxNameBytes: number;
  /** Dimensions of a shape. */
  maxRank: number;
  /** A token, in UTF-8. */
  maxTokenBytes: number;
  /** Byte paths of one connection, the first included, where a transport has several. */
  maxLanes: number;
  /** Transfers and listings that the other end of a connection may have open at once. */
  maxTransfers: number;
  /** Entries of request lists that the other end of a connection may have open at once. */
  maxRequests: number;
  /** Subscriptions that the other end of a connection may have at once. */
  maxSubscriptions: number;
  /**
   * Uncompressed bytes that one transfer may be ahead of its consumer, at most: it begins with less
   * and grows to what the round trip needs. Two chunks are always allowed.
   */
  transferWindowBytes: number;
  /**
   * Uncompressed bytes that all transfers of a connection together may be ahead of their consumers,
   * which is the memory that the other end can make this one hold. Four chunks are always allowed.
   */
  connectionWindowBytes: number;
  /** Tensors that were prefetched and that nobody has asked for yet, in memory. */
  maxPrefetchBytes: number;
  /** Connections that have not said HELLO yet; the oldest gives way. */
  maxSilentConnections: number;
  /** How long a connection may take to say HELLO. */
  helloTimeoutMs: number;
  /** Quiet time after which a ping is sent. */
  pingIntervalMs: number;
  /** Quiet time after which the connection counts as dead; any frame resets it. */
  idleTimeoutMs: number;
  /**
   * How long a transfer or listing may stand still while it is the other end's turn, and how long
   * the other end may read nothing of what it is sent.
   */
  stallTimeoutMs: number;
  /** How long what an end that was dialled has begun waits for the other end to come back. */
  returnTimeoutMs: number;
  /** How long a dial may take. */
  connectTimeoutMs: number;
  /** Entries of one listing. */
  maxListEntries: number;
  /** The JSON header of a safetensors file. */
  maxSafetensorsHeaderBytes: number;
  /** Leaf digests kept for tensors that were hashed, so that a resumed sender need not hash again. */
  maxCachedDigests: number;
}

/** The values in force where nothing else is said. */
export const DEFAULT_LIMITS: Readonly<Limits> = {
  maxTensorBytes: 1024 * 1024 * MiB,
  maxChunkBytes: 64 * MiB,
  maxControlBytes: 8 * KiB,
  maxPageBytes: 64 * KiB,
  maxNameBytes: 1024,
  maxRank: 32,
  maxTokenBytes: 1024,
  maxLanes: 9,
  maxTransfers: 1024,
  maxRequests: 4096,
  maxSubscriptions: 64,
  transferWindowBytes: 32 * MiB,
  connectionWindowBytes: 64 * MiB,
  maxPrefetchBytes: 512 * MiB,
  maxSilentConnections: 64,
  helloTimeoutMs: 5_000,
  pingIntervalMs: 5_000,
  idleTimeoutMs: 30_000,
  stallTimeoutMs: 60_000,
  returnTimeoutMs: 60_000,
  connectTimeoutMs: 10_000,
  maxListEntries: 1_000_000,
  maxSafetensorsHeaderBytes: 100 * 1000 * 1000,
  maxCachedDigests: 1_048_576,
};
