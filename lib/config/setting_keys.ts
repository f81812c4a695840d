// This module runs in every runtime.
import type { ClusterFile, TensorProtocolSection } from "./schema.ts";
import type { Settings } from "./settings.ts";

/** A setting as the cluster file spells it. */
export type SettingKey =
  | Exclude<keyof ClusterFile, "tensor_protocol">
  | Extract<keyof TensorProtocolSection, string>;

/** One setting's other names. */
export interface SettingNames {
  /** In {@linkcode Settings} and in options. */
  readonly name: keyof Settings;
  /** In the environment. */
  readonly environment: string;
  /** Where it stands in the cluster file. */
  readonly section: "top" | "tensor_protocol";
  /** Brings the environment's text into the form that the file has; what it does not know stays text. */
  readonly fromText: (text: string) => unknown;
}

const asIs = (text: string) => text;
const asBoolean = (text: string) => {
  const lower = text.toLowerCase();
  if (lower === "true" || lower === "1") return true;
  return lower === "false" || lower === "0" ? false : text;
};
const asLogLevel = (text: string) => text.toLowerCase().replace(/^warn$/, "warning");
const asNumber = (text: string) => (/^[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : text);

function top(name: keyof Settings, environment: string, fromText: SettingNames["fromText"]) {
  return { name, environment, section: "top", fromText } as const;
}

function section(name: keyof Settings, environment: string, fromText: SettingNames["fromText"]) {
  return { name, environment, section: "tensor_protocol", fromText } as const;
}

/** How every setting's name in the environment begins. */
export const ENVIRONMENT_PREFIX: RegExp = /^OLLAMA_(?:TENSOR|CLUSTER)_/;

/** Every setting, in the order in which they are shown. */
export const SETTING_KEYS: Readonly<Record<SettingKey, SettingNames>> = {
  enabled: top("enabled", "OLLAMA_CLUSTER_ENABLED", asBoolean),
  node_name: top("nodeName", "OLLAMA_CLUSTER_NODE_NAME", asIs),
  node_role: top("nodeRole", "OLLAMA_CLUSTER_NODE_ROLE", (text) => text.toLowerCase()),
  use_streaming_protocol: section(
    "useStreamingProtocol",
    "OLLAMA_TENSOR_STREAMING_PROTOCOL",
    asBoolean,
  ),
  chunk_size: section("chunkBytes", "OLLAMA_TENSOR_CHUNK_SIZE", asIs),
  enable_compression: section("compressionEnabled", "OLLAMA_TENSOR_ENABLE_COMPRESSION", asBoolean),
  compression_threshold: section(
    "compressionThresholdBytes",
    "OLLAMA_TENSOR_COMPRESSION_THRESHOLD",
    asIs,
  ),
  max_retries: section("maxRetries", "OLLAMA_TENSOR_MAX_RETRIES", asNumber),
  retry_base_delay: section("retryBaseDelayMs", "OLLAMA_TENSOR_RETRY_DELAY", asIs),
  retry_max_delay: section("retryMaxDelayMs", "OLLAMA_TENSOR_RETRY_MAX_DELAY", asIs),
  retry_backoff_factor: section(
    "retryBackoffFactor",
    "OLLAMA_TENSOR_RETRY_BACKOFF_FACTOR",
    asNumber,
  ),
  retry_jitter_factor: section("retryJitterFactor", "OLLAMA_TENSOR_RETRY_JITTER_FACTOR", asNumber),
  checkpoint_max_age: section("checkpointMaxAgeMs", "OLLAMA_TENSOR_CHECKPOINT_MAX_AGE", asIs),
  checkpoint_max_bytes: section("checkpointMaxBytes", "OLLAMA_TENSOR_CHECKPOINT_MAX_BYTES", asIs),
  digest: section("digest", "OLLAMA_TENSOR_DIGEST", asIs),
  codecs: section("codecs", "OLLAMA_TENSOR_CODECS", (text) => text.split(/ *, */)),
  transfer_window: section("transferWindowBytes", "OLLAMA_TENSOR_TRANSFER_WINDOW", asIs),
  connection_window: section("connectionWindowBytes", "OLLAMA_TENSOR_CONNECTION_WINDOW", asIs),
  max_tensor_size: section("maxTensorBytes", "OLLAMA_TENSOR_MAX_TENSOR_SIZE", asIs),
  max_prefetch_size: section("maxPrefetchBytes", "OLLAMA_TENSOR_MAX_PREFETCH_SIZE", asIs),
  max_transfers: section("maxTransfers", "OLLAMA_TENSOR_MAX_TRANSFERS", asNumber),
  connect_timeout: section("connectTimeoutMs", "OLLAMA_TENSOR_CONNECT_TIMEOUT", asIs),
  idle_timeout: section("idleTimeoutMs", "OLLAMA_TENSOR_IDLE_TIMEOUT", asIs),
  stall_timeout: section("stallTimeoutMs", "OLLAMA_TENSOR_STALL_TIMEOUT", asIs),
  token_file: section("tokenFile", "OLLAMA_TENSOR_TOKEN_FILE", asIs),
  ca_file: section("caFile", "OLLAMA_TENSOR_CA_FILE", asIs),
  pin_sha256: section("pinSha256", "OLLAMA_TENSOR_PIN_SHA256", asIs),
  cert_file: section("certFile", "OLLAMA_TENSOR_CERT_FILE", asIs),
  key_file: section("keyFile", "OLLAMA_TENSOR_KEY_FILE", asIs),
  log_level: section("logLevel", "OLLAMA_LOG_LEVEL", asLogLevel),
};

/** The keys of {@linkcode SETTING_KEYS}, in its order. */
export function settingKeys(): SettingKey[] {
  return Object.keys(SETTING_KEYS) as SettingKey[];
}

/** The ways in which a file, the environment and options write the names of these settings. */
export function spellingsOf(keys: readonly SettingKey[]): [spelling: string, key: SettingKey][] {
  return keys.flatMap((key) => {
    const { name, environment } = SETTING_KEYS[key];
    return [key, name, environment.replace(ENVIRONMENT_PREFIX, "")].map(
      (spelling): [string, SettingKey] => [spelling, key],
    );
  });
}
