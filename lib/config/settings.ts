// This module runs in every runtime.
import { DEFAULT_CHECKPOINT_LIMITS } from "../checkpoint_limits.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { DEFAULT_RETRY_POLICY } from "../retry.ts";

/** What part a node plays in a cluster. */
export type NodeRole = "worker" | "coordinator" | "mixed";

/** From which level on the library's logs are told. */
export type LogLevel = "trace" | "debug" | "info" | "warning" | "error" | "off";

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
  /** Whether leaves carry digests; `"none"` trusts the link and the source. */
  digest: "sha256" | "none";
  /** The codecs that may be used, by name, the preferred first. */
  codecs: readonly string[];
  /** Uncompressed bytes that one transfer may be ahead of its consumer. */
  transferWindowBytes: number;
  /** Uncompressed bytes that all transfers of a connection may be ahead: the memory they can take. */
  connectionWindowBytes: number;
  /** The largest tensor that is taken. */
  maxTensorBytes: number;
  /** Prefetched bytes that are kept for whoever asks for them. */
  maxPrefetchBytes: number;
  /** Transfers that the other end of a connection may have open at once. */
  maxTransfers: number;
  /** How long a dial may take. */
  connectTimeoutMs: number;
  /** How long a connection may be quiet before it counts as dead. */
  idleTimeoutMs: number;
  /** How long a transfer may stand still while it is the other end's turn. */
  stallTimeoutMs: number;
  /** The file with the token: to be let in by where this end dials, to let in by where it listens. */
  tokenFile: string | undefined;
  /** The certificate authority that dialled peers are trusted by (PEM). */
  caFile: string | undefined;
  /** The SHA-256 of the one certificate that is trusted, in hexadecimal. */
  pinSha256: string | undefined;
  /** The certificate chain that a listener shows (PEM). */
  certFile: string | undefined;
  /** The private key of that certificate (PEM). */
  keyFile: string | undefined;
  logLevel: LogLevel;
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
  digest: "sha256",
  codecs: ["deflate"],
  transferWindowBytes: DEFAULT_LIMITS.transferWindowBytes,
  connectionWindowBytes: DEFAULT_LIMITS.connectionWindowBytes,
  maxTensorBytes: DEFAULT_LIMITS.maxTensorBytes,
  maxPrefetchBytes: DEFAULT_LIMITS.maxPrefetchBytes,
  maxTransfers: DEFAULT_LIMITS.maxTransfers,
  connectTimeoutMs: DEFAULT_LIMITS.connectTimeoutMs,
  idleTimeoutMs: DEFAULT_LIMITS.idleTimeoutMs,
  stallTimeoutMs: DEFAULT_LIMITS.stallTimeoutMs,
  tokenFile: undefined,
  caFile: undefined,
  pinSha256: undefined,
  certFile: undefined,
  keyFile: undefined,
  logLevel: "warning",
};
