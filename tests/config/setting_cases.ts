// Every setting as its contract has it, and what may and may not be said of it.
import type { SettingValue } from "../../lib/config/layer.ts";
import type { SettingKey } from "../../lib/config/setting_keys.ts";

/** What the contract says of a setting, and what each origin may write in these tests. */
export interface Case {
  readonly name: string;
  readonly environment: string;
  readonly initial: SettingValue;
  /** As an origin writes it, and the value that comes of it; each origin has its own. */
  readonly option: SettingValue;
  readonly text: readonly [string, SettingValue];
  readonly json: readonly [unknown, SettingValue];
}

/** The settings at the top of a cluster file. */
export const TOP: readonly string[] = ["enabled", "node_name", "node_role"];

export const CASES: Readonly<Record<SettingKey, Case>> = {
  enabled: {
    name: "enabled",
    environment: "OLLAMA_CLUSTER_ENABLED",
    initial: true,
    option: true,
    text: ["false", false],
    json: [false, false],
  },
  node_name: {
    name: "nodeName",
    environment: "OLLAMA_CLUSTER_NODE_NAME",
    initial: "headrace",
    option: "mine",
    text: ["theirs", "theirs"],
    json: ["worker-node-1", "worker-node-1"],
  },
  node_role: {
    name: "nodeRole",
    environment: "OLLAMA_CLUSTER_NODE_ROLE",
    initial: "mixed",
    option: "mixed",
    text: ["Coordinator", "coordinator"],
    json: ["worker", "worker"],
  },
  use_streaming_protocol: {
    name: "useStreamingProtocol",
    environment: "OLLAMA_TENSOR_STREAMING_PROTOCOL",
    initial: true,
    option: true,
    text: ["0", false],
    json: [false, false],
  },
  chunk_size: {
    name: "chunkBytes",
    environment: "OLLAMA_TENSOR_CHUNK_SIZE",
    initial: 1_048_576,
    option: 1024,
    text: ["262144", 262_144],
    json: ["64MiB", 67_108_864],
  },
  enable_compression: {
    name: "compressionEnabled",
    environment: "OLLAMA_TENSOR_ENABLE_COMPRESSION",
    initial: true,
    option: true,
    text: ["FALSE", false],
    json: [false, false],
  },
  compression_threshold: {
    name: "compressionThresholdBytes",
    environment: "OLLAMA_TENSOR_COMPRESSION_THRESHOLD",
    initial: 4096,
    option: 1,
    text: ["16KiB", 16_384],
    json: [0, 0],
  },
  max_retries: {
    name: "maxRetries",
    environment: "OLLAMA_TENSOR_MAX_RETRIES",
    initial: 3,
    option: 0,
    text: ["unlimited", "unlimited"],
    json: [7, 7],
  },
  retry_base_delay: {
    name: "retryBaseDelayMs",
    environment: "OLLAMA_TENSOR_RETRY_DELAY",
    initial: 500,
    option: 1,
    text: ["1000", 1000],
    json: ["250ms", 250],
  },
  retry_max_delay: {
    name: "retryMaxDelayMs",
    environment: "OLLAMA_TENSOR_RETRY_MAX_DELAY",
    initial: 5000,
    option: 86_400_000,
    text: ["2s", 2000],
    json: [30_000, 30_000],
  },
  retry_backoff_factor: {
    name: "retryBackoffFactor",
    environment: "OLLAMA_TENSOR_RETRY_BACKOFF_FACTOR",
    initial: 2,
    option: 1,
    text: ["1.5", 1.5],
    json: [3.25, 3.25],
  },
  retry_jitter_factor: {
    name: "retryJitterFactor",
    environment: "OLLAMA_TENSOR_RETRY_JITTER_FACTOR",
    initial: 0.1,
    option: 0,
    text: ["1", 1],
    json: [0.5, 0.5],
  },
  checkpoint_max_age: {
    name: "checkpointMaxAgeMs",
    environment: "OLLAMA_TENSOR_CHECKPOINT_MAX_AGE",
    initial: 1_209_600_000,
    option: "unlimited",
    text: ["12h", 43_200_000],
    json: [0, 0],
  },
  checkpoint_max_bytes: {
    name: "checkpointMaxBytes",
    environment: "OLLAMA_TENSOR_CHECKPOINT_MAX_BYTES",
    initial: 1_099_511_627_776,
    option: 0,
    text: ["unlimited", "unlimited"],
    json: ["2TiB", 2_199_023_255_552],
  },
};

/** Values that no origin may give for the key; text alone also stands for what the environment says. */
export const REFUSED: Readonly<Record<SettingKey, readonly unknown[]>> = {
  enabled: ["yes", "", 1, null],
  node_name: ["", "n".repeat(257), 5, null],
  node_role: ["master", "", 1, ["worker"]],
  use_streaming_protocol: ["on", 0, null, {}],
  chunk_size: [1023, 67_108_865, 4096.5, -1, "1023", "65MiB", "1MB", "1.5MiB", "lots", true, null],
  enable_compression: ["no", 1, []],
  compression_threshold: [-1, 0.5, "-1", "4 kB", "0x10", false],
  max_retries: [-1, 1.5, "-1", "1.5", "forever", "3 ", true, null],
  retry_base_delay: [-1, 0.5, 86_400_001, "-5", "25h", "0.5s", "2 days", {}],
  retry_max_delay: [-1, 86_400_001, "1441min", "soon", []],
  retry_backoff_factor: [0.99, 101, "0.5", "twice", "1e1", null],
  retry_jitter_factor: [-0.1, 1.01, "2", "-0", "10%", true],
  checkpoint_max_age: [
    -1,
    0.5,
    2 ** 53,
    "-1",
    "1.5d",
    "2 weeks",
    "forever",
    "Unlimited",
    true,
    null,
  ],
  checkpoint_max_bytes: [-1, 0.5, 2 ** 53, "-1", "1TB", "1.5TiB", "all", false, []],
};

/** What the message for a refused value says that is accepted. */
export const ACCEPTED: Readonly<Record<SettingKey, RegExp>> = {
  enabled: /true or false/,
  node_name: /1 to 256 bytes/,
  node_role: /"worker", "coordinator" or "mixed"/,
  use_streaming_protocol: /true or false/,
  chunk_size: /1024 \(1 KiB\) to 67108864 \(64 MiB\).*"4MiB"/,
  enable_compression: /true or false/,
  compression_threshold: /whole number of bytes from 0.*"4MiB"/,
  max_retries: /whole number from 0, or "unlimited"/,
  retry_base_delay: /milliseconds from 0 to 86400000.*"2s"/,
  retry_max_delay: /milliseconds from 0 to 86400000.*"2s"/,
  retry_backoff_factor: /number from 1 to 100/,
  retry_jitter_factor: /number from 0 to 1/,
  checkpoint_max_age: /whole number of milliseconds from 0, .*"14d", or "unlimited"/,
  checkpoint_max_bytes: /whole number of bytes from 0, .*"2TiB", or "unlimited"/,
};
