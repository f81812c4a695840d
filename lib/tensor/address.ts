// This module runs in every runtime.
import { DEFAULT_LIMITS } from "../limits.ts";

/** Where a tensor lives. */
export interface TensorAddress {
  readonly model: string;
  /** A shard of the model; `default` where nothing names one. */
  readonly partition: string;
  readonly tensor: string;
}

/** An address in which any name may hold `*` (any run of characters) or be left out (all). */
export interface AddressPattern {
  readonly model: string;
  readonly partition: string;
  readonly tensor: string;
}

/** The partition of a tensor whose model is not sharded. */
export const DEFAULT_PARTITION = "default";

/**
 * The name under which a partition's raw header bytes travel, as a U8 tensor.
 * The safetensors format keeps this name for itself, so no tensor has it.
 */
export const HEADER_TENSOR = "__metadata__";

/** The partition under which a model's side files (`config.json`, a tokenizer) travel, as U8 tensors. */
export const SIDE_FILES_PARTITION = "__files__";

/**
 * The name, among a model's side files, of the list of everything that is pushed with it: the first
 * tensor of a push. No side file has it.
 */
export const MANIFEST_TENSOR = "__manifest__";

const utf8 = new TextEncoder();

/**
 * Checks one name of an address.
 *
 * @param part `model`, `partition` or `tensor`, for the message.
 * @throws {TypeError | RangeError} as {@linkcode checkAddress}.
 */
export function checkName(part: string, name: string): void {
  if (typeof name !== "string" || name.length === 0) {
    throw new TypeError(`The ${part} of an address must be a string that is not empty`);
  }
  if (!name.isWellFormed()) {
    throw new TypeError(`The ${part} of an address holds half a surrogate pair`);
  }
  // UTF-8 takes at most three bytes for each unit of a string: most names need not be encoded.
  if (name.length * 3 <= DEFAULT_LIMITS.maxNameBytes) return;
  const bytes = utf8.encode(name).byteLength;
  if (bytes > DEFAULT_LIMITS.maxNameBytes) {
    throw new RangeError(
      `The ${part} of an address may take ${DEFAULT_LIMITS.maxNameBytes} bytes, found ${bytes}`,
    );
  }
}

/**
 * Checks an address from outside or from the caller.
 *
 * @throws {TypeError} for a name that is empty or not well-formed Unicode.
 * @throws {RangeError} for a name of more than 1024 bytes of UTF-8.
 */
export function checkAddress(address: TensorAddress): TensorAddress {
  checkName("model", address.model);
  checkName("partition", address.partition);
  checkName("tensor", address.tensor);
  return address;
}

// `*` survives encodeURIComponent, and is a wildcard here.
const escapeName = (name: string) =>
  PLAIN.test(name) ? name : encodeURIComponent(name).replaceAll("*", "%2A");
/** Names in which nothing is to be escaped, as nearly all are. */
const PLAIN = /^[A-Za-z0-9_.-]+$/;

/**
 * The text form, `model/partition/tensor`, each name percent-encoded.
 *
 * @example
 * ```ts
 * import { formatAddress } from "headrace";
 *
 * formatAddress({ model: "gpt2", partition: "a/b", tensor: "wte" }); // "gpt2/a%2Fb/wte"
 * ```
 */
export function formatAddress(address: TensorAddress): string {
  const { model, partition, tensor } = checkAddress(address);
  return `${escapeName(model)}/${escapeName(partition)}/${escapeName(tensor)}`;
}

function splitNames(text: string): string[] {
  const names = text.split("/");
  if (names.length > 3) {
    throw new TypeError(
      `An address has at most three names (model/partition/tensor), found ${names.length} in "${text}"`,
    );
  }
  return names;
}

function unescapeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch (cause) {
    throw new TypeError(`"${name}" in an address is not valid percent-encoding`, { cause });
  }
}

/**
 * Reads the text form of one tensor's address. Two names are model and tensor in the partition `default`.
 *
 * @throws {TypeError | RangeError} for text that is not an address.
 *
 * @example
 * ```ts
 * import { parseAddress } from "headrace";
 *
 * parseAddress("gpt2/wte"); // { model: "gpt2", partition: "default", tensor: "wte" }
 * ```
 */
export function parseAddress(text: string): TensorAddress {
  const names = splitNames(text).map(unescapeName);
  if (names.length < 2) throw new TypeError(`"${text}" names no tensor (model/partition/tensor)`);
  const [model, partition, tensor] =
    names.length === 2 ? [names[0], DEFAULT_PARTITION, names[1]] : names;
  return checkAddress({ model, partition, tensor } as TensorAddress);
}

/**
 * Reads a pattern: up to three names from the left, each percent-encoded, `*` in them a wildcard;
 * names left out match everything. Matching is by {@linkcode matchesAddress}.
 *
 * @example
 * ```ts
 * import { matchesAddress, parsePattern } from "headrace";
 *
 * const pattern = parsePattern("gpt2/*\/h.0.*");
 * matchesAddress(pattern, { model: "gpt2", partition: "default", tensor: "h.0.attn" }); // true
 * ```
 */
export function parsePattern(text: string): AddressPattern {
  const [model = "*", partition = "*", tensor = "*"] = text === "" ? [] : splitNames(text);
  const pattern = { model: model || "*", partition: partition || "*", tensor: tensor || "*" };
  for (const name of Object.values(pattern)) unescapeName(name);
  return pattern;
}

function matchesName(pattern: string, name: string): boolean {
  const parts = pattern.split("*").map(unescapeName);
  const first = parts[0] as string;
  if (parts.length === 1) return name === first;
  const last = parts.at(-1) as string;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  // Greedy from the left is enough for `*` alone, and linear: no backtracking for a hostile pattern.
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - last.length;
}

/** Whether the address is one that the pattern names. */
export function matchesAddress(pattern: AddressPattern, address: TensorAddress): boolean {
  return (
    matchesName(pattern.model, address.model) &&
    matchesName(pattern.partition, address.partition) &&
    matchesName(pattern.tensor, address.tensor)
  );
}
