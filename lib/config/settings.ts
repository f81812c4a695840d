// This module runs in every runtime.
import { DEFAULT_CHECKPOINT_LIMITS } from "../checkpoint_limits.ts";
import { DEFAULT_RETRY_POLICY } from "../retry.ts";

/** What part a node plays in a cluster. */
export type NodeRole = "worker" | "coordinator" | "mixed";

/** Every setting, whole and checked. */
export interface Settings {
  /** Whether the cluster file's owner takes part in a cluster at all. */
  enabled: boolean;
  /** Names this end to the others. */
  nodeName: string;
  nodeRole: NodeRole;
  /** `false` sends a tensor as one chunk, without compression and resume. */
  useStreamingProtocol: boolean;
  /** Uncompressed bytes of a chunk, 1 KiB to 64 MiB. */
  chunkBytes: number;
  compressionEnabled: boolean;
  /** Chunks below this length are sent raw. */
  compressionThresholdBytes: number;
  /** Consecutive failures that are forgiven. */
  maxRetries: number | "unlimited";
  /** The pause after a first failure. */
  retryBaseDelayMs: number;
  /** The longest pause. */
  retryMaxDelayMs: number;
  /** By how much each pause is longer than the one before. */
  retryBackoffFactor: number;
  /** The share by which a pause is lengthened or shortened at random, 0 to 1. */
  retryJitterFactor: number;
  /** How long an interrupted transfer's checkpoint is kept for the next attempt; 0 keeps none. */
  checkpointMaxAgeMs: number | "unlimited";
  /** What all such checkpoints in a folder may take on the disk; the oldest go first, 0 keeps none. */
  checkpointMaxBytes: number | "unlimited";
}

/** The settings in force where nothing else is said. */
export const DEFAULT_SETTINGS: Readonly<Settings> = {
  enabled: true,
  nodeName: "headrace",
  nodeRole: "mixed",
  useStreamingProtocol: true,
  chunkBytes: 1024 * 1024,
  compressionEnabled: true,
  compressionThresholdBytes: 4096,
  maxRetries: DEFAULT_RETRY_POLICY.maxRetries,
  retryBaseDelayMs: DEFAULT_RETRY_POLICY.baseDelayMs,
  retryMaxDelayMs: DEFAULT_RETRY_POLICY.maxDelayMs,
  retryBackoffFactor: DEFAULT_RETRY_POLICY.backoffFactor,
  retryJitterFactor: DEFAULT_RETRY_POLICY.jitterFactor,
  checkpointMaxAgeMs: DEFAULT_CHECKPOINT_LIMITS.maxAgeMs,
  checkpointMaxBytes: DEFAULT_CHECKPOINT_LIMITS.maxBytes,
};
