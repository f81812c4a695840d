// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { checkAddress } from "../tensor/address.ts";
import { createDescriptor } from "../tensor/descriptor.ts";
import { DTYPES, dtypeOfCode } from "../tensor/dtype.ts";
import type { StoreEntry } from "../tensor/source.ts";
import { readU64, viewOf, writeU64 } from "./u64.ts";

/** One line of a listing as it travels. */
export interface ListingEntry extends StoreEntry {
  /** The tensor's root, where it was asked for. */
  readonly root?: Uint8Array;
}

const FIXED_BYTES = 18;
const ROOT_BYTES = 32;
const MAX_VERSION_BYTES = 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** One entry of a LISTING page; see SPEC.md for its bytes. */
export function encodeListingEntry(entry: ListingEntry): Uint8Array {
  const { address, descriptor, version, root } = entry;
  const names = [address.model, address.partition, address.tensor].map((n) => encoder.encode(n));
  const rank = descriptor.shape.length;
  const namesAt = FIXED_BYTES + 8 * rank + version.byteLength + (root ? ROOT_BYTES : 0);
  const bytes = new Uint8Array(names.reduce((sum, name) => sum + name.byteLength, namesAt));
  const view = viewOf(bytes);
  bytes.set([root ? 1 : 0, DTYPES[descriptor.dtype].code, rank, version.byteLength]);
  for (const [n, name] of names.entries()) view.setUint16(4 + 2 * n, name.byteLength, true);
  writeU64(view, 10, descriptor.byteLength);
  for (const [n, size] of descriptor.shape.entries()) writeU64(view, FIXED_BYTES + 8 * n, size);
  let at = FIXED_BYTES + 8 * rank;
  for (const part of [version, ...(root ? [root] : []), ...names]) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

/**
 * The entries of a LISTING page.
 *
 * @throws {ProtocolError} for a page that ends inside an entry or holds one that cannot be.
 */
export function decodeListing(page: Uint8Array): ListingEntry[] {
  const entries: ListingEntry[] = [];
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (length > page.byteLength - at) {
      throw new ProtocolError("The peer sent a page of a listing that ends inside an entry");
    }
    at += length;
    return page.subarray(at - length, at);
  };
  while (at < page.byteLength) {
    const fixed = viewOf(take(FIXED_BYTES));
    const [flags, code, rank, versionBytes] = [0, 1, 2, 3].map((n) => fixed.getUint8(n)) as [
      number,
      number,
      number,
      number,
    ];
    const dtype = dtypeOfCode(code);
    if (flags > 1 || !dtype || rank > DEFAULT_LIMITS.maxRank || versionBytes > MAX_VERSION_BYTES) {
      throw new ProtocolError(
        `The peer listed a tensor of unknown kind (${flags}, ${code}, ${rank})`,
      );
    }
    const dimensions = viewOf(take(8 * rank));
    const shape = Array.from({ length: rank }, (_, n) => readU64(dimensions, 8 * n));
    const version = take(versionBytes).slice();
    const root = flags === 1 ? take(ROOT_BYTES).slice() : undefined;
    try {
      const [model, partition, tensor] = [4, 6, 8].map((n) =>
        decoder.decode(take(fixed.getUint16(n, true))),
      ) as [string, string, string];
      const address = checkAddress({ model, partition, tensor });
      const descriptor = createDescriptor(dtype, shape, readU64(fixed, 10));
      entries.push({ address, descriptor, version, ...(root && { root }) });
    } catch (cause) {
      if (cause instanceof ProtocolError) throw cause;
      throw new ProtocolError("The peer listed a tensor whose name or size cannot be", { cause });
    }
  }
  return entries;
}
