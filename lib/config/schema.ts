// This module runs in every runtime.
import * as v from "valibot";
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from "../tensor/chunk.ts";
import * as field from "./fields.ts";
import { CODEC_NAMES } from "./known_codecs.ts";
import type { LogLevel, NodeRole } from "./settings.ts";

/** The `tensor_protocol` section of a cluster file, checked: sizes in bytes, durations in ms. */
export interface TensorProtocolSection {
  use_streaming_protocol?: boolean | undefined;
  chunk_size?: number | undefined;
  enable_compression?: boolean | undefined;
  compression_threshold?: number | undefined;
  max_retries?: number | "unlimited" | undefined;
  retry_base_delay?: number | undefined;
  retry_max_delay?: number | undefined;
  retry_backoff_factor?: number | undefined;
  retry_jitter_factor?: number | undefined;
  checkpoint_max_age?: number | "unlimited" | undefined;
  checkpoint_max_bytes?: number | "unlimited" | undefined;
  digest?: "sha256" | "none" | undefined;
  codecs?: readonly string[] | undefined;
  transfer_window?: number | undefined;
  connection_window?: number | undefined;
  max_tensor_size?: number | undefined;
  max_prefetch_size?: number | undefined;
  max_transfers?: number | undefined;
  connect_timeout?: number | undefined;
  idle_timeout?: number | undefined;
  stall_timeout?: number | undefined;
  token_file?: string | undefined;
  ca_file?: string | undefined;
  pin_sha256?: string | undefined;
  cert_file?: string | undefined;
  key_file?: string | undefined;
  log_level?: LogLevel | undefined;
}

/** What headrace reads of a cluster file, checked. */
export interface ClusterFile {
  enabled?: boolean | undefined;
  node_name?: string | undefined;
  node_role?: NodeRole | undefined;
  tensor_protocol?: TensorProtocolSection | undefined;
}

/** What HELLO has room for. */
const MAX_NODE_NAME_BYTES = 256;
const MAX_PATH_BYTES = 4096;
/** The most that HELLO can say. */
const MAX_TRANSFERS = 1_000_000;
const MiB = 1024 * 1024;
const ANY = Number.MAX_SAFE_INTEGER;
const PATH = `a path of 1 to ${MAX_PATH_BYTES} bytes`;
const PIN = /^[0-9a-fA-F]{2}(?::?[0-9a-fA-F]{2}){31}$/;

const tensorProtocolSchema = v.strictObject({
  use_streaming_protocol: field.boolean(),
  chunk_size: field.size(
    MIN_CHUNK_BYTES,
    MAX_CHUNK_BYTES,
    `from ${MIN_CHUNK_BYTES} (1 KiB) to ${MAX_CHUNK_BYTES} (64 MiB)`,
  ),
  enable_compression: field.boolean(),
  compression_threshold: field.size(0, ANY, "from 0"),
  max_retries: field.countOrUnlimited(),
  retry_base_delay: field.duration(0),
  retry_max_delay: field.duration(0),
  retry_backoff_factor: field.factor(1, 100),
  retry_jitter_factor: field.factor(0, 1),
  checkpoint_max_age: field.durationOrUnlimited(),
  checkpoint_max_bytes: field.sizeOrUnlimited(),
  digest: field.word("sha256", "none"),
  codecs: field.wordList(...CODEC_NAMES),
  transfer_window: field.size(MiB, ANY, `from ${MiB} (1 MiB)`),
  connection_window: field.size(MiB, ANY, `from ${MiB} (1 MiB)`),
  max_tensor_size: field.size(1, ANY, "from 1"),
  max_prefetch_size: field.size(0, ANY, "from 0"),
  max_transfers: field.count(1, MAX_TRANSFERS),
  connect_timeout: field.duration(1),
  idle_timeout: field.duration(1),
  stall_timeout: field.duration(1),
  token_file: field.text(MAX_PATH_BYTES, PATH),
  ca_file: field.text(MAX_PATH_BYTES, PATH),
  pin_sha256: field.pattern(PIN, "64 hexadecimal digits, colons allowed"),
  cert_file: field.text(MAX_PATH_BYTES, PATH),
  key_file: field.text(MAX_PATH_BYTES, PATH),
  log_level: field.word("trace", "debug", "info", "warning", "error", "off"),
});

// valibot takes an array for an object without keys.
const isPlainObject = (value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const plainObject = v.check(isPlainObject, "an object");

/**
 * The one schema that settings from every origin are checked against: a cluster file as it is
 * parsed, and what the environment and options say brought into the same shape. Other keys at the
 * top are passed over, since they belong to others; other keys in `tensor_protocol` are refused.
 */
export const clusterFileSchema: v.GenericSchema<unknown, ClusterFile> = v.pipe(
  v.unknown(),
  plainObject,
  v.object({
    enabled: field.boolean(),
    node_name: field.text(MAX_NODE_NAME_BYTES),
    node_role: field.word("worker", "coordinator", "mixed"),
    tensor_protocol: v.optional(v.pipe(v.unknown(), plainObject, tensorProtocolSchema)),
  }),
);
