// This module runs in every runtime.
import * as v from "valibot";
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from "../tensor/chunk.ts";
import { parseByteCount, parseDurationMs } from "./quantity.ts";
import type { NodeRole } from "./settings.ts";

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
}

/** What headrace reads of a cluster file, checked. */
export interface ClusterFile {
  enabled?: boolean | undefined;
  node_name?: string | undefined;
  node_role?: NodeRole | undefined;
  tensor_protocol?: TensorProtocolSection | undefined;
}

/** Longer than any pause between attempts that helps anybody, shorter than what timers can hold. */
const MAX_DELAY_MS = 24 * 60 * 60 * 1000;
/** What HELLO has room for. */
const MAX_NODE_NAME_BYTES = 256;

// Each message ends the sentence "KEY must be ...".
const bool = v.optional(v.boolean("true or false (in the environment also 1 or 0)"));

function wholeNumber(least: number, most: number, message: string): v.CheckAction<number, string> {
  return v.check((n) => Number.isSafeInteger(n) && n >= least && n <= most, message);
}

/** A number, or text that `parse` makes one of. */
function quantity(parse: (text: string) => number, least: number, most: number, message: string) {
  const number = v.union([v.number(), v.pipe(v.string(), v.transform(parse))], message);
  return v.pipe(number, wholeNumber(least, most, message));
}

function byteCount(least: number, most: number, range: string) {
  const message = `a whole number of bytes ${range}, or a size such as "64KiB" or "4MiB"`;
  return v.optional(quantity(parseByteCount, least, most, message));
}

function duration() {
  const message =
    `a whole number of milliseconds from 0 to ${MAX_DELAY_MS} (a day), ` +
    'or a duration such as "500ms" or "2s"';
  return v.optional(quantity(parseDurationMs, 0, MAX_DELAY_MS, message));
}

/** A quantity that may also be without an end. */
function limit(parse: (text: string) => number, wanted: string) {
  const message = `${wanted}, or "unlimited"`;
  const number = quantity(parse, 0, Number.MAX_SAFE_INTEGER, message);
  return v.optional(v.union([v.literal("unlimited"), number], message));
}

function factor(least: number, most: number) {
  const message = `a number from ${least} to ${most}`;
  return v.optional(
    v.pipe(v.number(message), v.minValue(least, message), v.maxValue(most, message)),
  );
}

const RETRIES = 'a whole number from 0, or "unlimited"';

const tensorProtocolSchema = v.strictObject({
  use_streaming_protocol: bool,
  chunk_size: byteCount(
    MIN_CHUNK_BYTES,
    MAX_CHUNK_BYTES,
    `from ${MIN_CHUNK_BYTES} (1 KiB) to ${MAX_CHUNK_BYTES} (64 MiB)`,
  ),
  enable_compression: bool,
  compression_threshold: byteCount(0, Number.MAX_SAFE_INTEGER, "from 0"),
  max_retries: v.optional(
    v.union(
      [
        v.literal("unlimited"),
        v.pipe(v.number(), wholeNumber(0, Number.MAX_SAFE_INTEGER, RETRIES)),
      ],
      RETRIES,
    ),
  ),
  retry_base_delay: duration(),
  retry_max_delay: duration(),
  retry_backoff_factor: factor(1, 100),
  retry_jitter_factor: factor(0, 1),
  checkpoint_max_age: limit(
    parseDurationMs,
    'a whole number of milliseconds from 0, a duration such as "12h" or "14d"',
  ),
  checkpoint_max_bytes: limit(
    parseByteCount,
    'a whole number of bytes from 0, a size such as "500GiB" or "2TiB"',
  ),
});

const NODE_NAME = `text of 1 to ${MAX_NODE_NAME_BYTES} bytes`;

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
    enabled: bool,
    node_name: v.optional(
      v.pipe(
        v.string(NODE_NAME),
        v.nonEmpty(NODE_NAME),
        v.maxBytes(MAX_NODE_NAME_BYTES, NODE_NAME),
      ),
    ),
    node_role: v.optional(
      v.picklist(["worker", "coordinator", "mixed"], '"worker", "coordinator" or "mixed"'),
    ),
    tensor_protocol: v.optional(v.pipe(v.unknown(), plainObject, tensorProtocolSchema)),
  }),
);
