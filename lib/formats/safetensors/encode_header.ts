// This module runs in every runtime.
import { LimitError } from "../../errors.ts";
import { DEFAULT_LIMITS } from "../../limits.ts";
import { checkAddress, DEFAULT_PARTITION, HEADER_TENSOR } from "../../tensor/address.ts";
import { createDescriptor, type TensorDescriptor } from "../../tensor/descriptor.ts";
import { DTYPES } from "../../tensor/dtype.ts";
import type { SafetensorsEntry, SafetensorsHeader } from "./header.ts";
import { quote } from "./quote.ts";

/** A tensor that is to be written. */
export interface NamedDescriptor {
  readonly name: string;
  readonly descriptor: TensorDescriptor;
}

/** Writers pad the header with spaces so that the buffer begins at a multiple of this. */
const ALIGNMENT_BYTES = 8;

function checkTensor({ name, descriptor }: NamedDescriptor, names: Set<string>): void {
  checkAddress({ model: "model", partition: DEFAULT_PARTITION, tensor: name });
  if (name === HEADER_TENSOR) throw new TypeError(`No tensor may be named ${HEADER_TENSOR}`);
  if (names.has(name)) throw new TypeError(`Two tensors are named ${quote(name)}`);
  names.add(name);
  createDescriptor(descriptor.dtype, descriptor.shape, descriptor.byteLength);
  if (DTYPES[descriptor.dtype].blockElements > 1) {
    throw new TypeError(`Tensor ${quote(name)}: safetensors has no dtype ${descriptor.dtype}`);
  }
}

/**
 * The header of a new safetensors file that holds the tensors in the order given, one after
 * another. The same input gives the same bytes.
 *
 * @param metadata Free text for `__metadata__`, such as `Object.entries({ format: "pt" })`.
 * @throws {TypeError | RangeError} for a name or a descriptor that a file cannot hold, a name given
 *   twice, or a file past 2^53 - 1 bytes.
 * @throws {LimitError} for a header over 100,000,000 bytes.
 *
 * @example
 * ```ts
 * import { createDescriptor } from "headrace";
 * import { encodeHeader } from "headrace/safetensors";
 *
 * const header = encodeHeader([{ name: "bias", descriptor: createDescriptor("F32", [2]) }]);
 * header.fileBytes; // 80: 8 + 64 of header, 8 of data
 * ```
 */
export function encodeHeader(
  tensors: Iterable<NamedDescriptor>,
  metadata: Iterable<readonly [string, string]> = [],
): SafetensorsHeader {
  const text = new Map(metadata);
  const names = new Set<string>();
  const placed: (NamedDescriptor & { begin: number })[] = [];
  const members: string[] = [];
  if (text.size > 0) members.push(`${JSON.stringify(HEADER_TENSOR)}:${encodeMetadata(text)}`);
  let at = 0;
  for (const { name, descriptor } of tensors) {
    checkTensor({ name, descriptor }, names);
    const { dtype, shape, byteLength } = descriptor;
    const end = at + byteLength;
    if (!Number.isSafeInteger(end)) {
      throw new RangeError(`Tensor ${quote(name)} would end past 2^53 - 1 bytes`);
    }
    const entry = JSON.stringify({ dtype, shape, data_offsets: [at, end] });
    members.push(`${JSON.stringify(name)}:${entry}`);
    placed.push({ name, descriptor, begin: at });
    at = end;
  }
  const raw = frameJson(`{${members.join(",")}}`);
  const entries: SafetensorsEntry[] = placed.map(({ name, descriptor, begin }) => ({
    name,
    descriptor,
    fileOffset: raw.byteLength + begin,
  }));
  return { raw, metadata: text, tensors: entries, fileBytes: raw.byteLength + at };
}

function encodeMetadata(metadata: ReadonlyMap<string, string>): string {
  const members: string[] = [];
  for (const [key, value] of metadata) {
    if (typeof key !== "string" || typeof value !== "string") {
      throw new TypeError(`${HEADER_TENSOR} may only hold strings`);
    }
    if (!key.isWellFormed() || !value.isWellFormed()) {
      throw new TypeError(`${HEADER_TENSOR} holds half a surrogate pair`);
    }
    members.push(`${JSON.stringify(key)}:${JSON.stringify(value)}`);
  }
  return `{${members.join(",")}}`;
}

function frameJson(json: string): Uint8Array {
  const utf8 = new TextEncoder().encode(json);
  const jsonBytes = Math.ceil(utf8.byteLength / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  if (jsonBytes > DEFAULT_LIMITS.maxSafetensorsHeaderBytes) {
    throw new LimitError(
      `A safetensors header may take ${DEFAULT_LIMITS.maxSafetensorsHeaderBytes} bytes, this one takes ${jsonBytes}`,
    );
  }
  const raw = new Uint8Array(8 + jsonBytes).fill(0x20);
  new DataView(raw.buffer).setBigUint64(0, BigInt(jsonBytes), true);
  raw.set(utf8, 8);
  return raw;
}
