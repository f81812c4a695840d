// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import type { LeafRange } from "../tensor/bitmap.ts";
import { readU64, viewOf, writeU64 } from "./u64.ts";

const DIGEST_BYTES = 32;
const RANGE_BYTES = 12;

/** A page of a bitmap: bit `i` of `bits`, lowest first, stands for leaf `firstLeaf + i`. */
export interface BitmapPage {
  /** A multiple of eight. */
  readonly firstLeaf: number;
  readonly bits: Uint8Array;
}

/** The digests of consecutive leaves, 32 bytes each. */
export interface DigestPage {
  readonly firstLeaf: number;
  readonly digests: readonly Uint8Array[];
}

function firstLeafOf(body: Uint8Array, what: string): number {
  const first = body.byteLength < 8 ? Number.NaN : readU64(viewOf(body), 0);
  if (Number.isNaN(first)) throw new ProtocolError(`The peer sent a ${what} without a first leaf`);
  return first;
}

function encodePage(firstLeaf: number, parts: readonly Uint8Array[]): Uint8Array {
  const page = new Uint8Array(8 + parts.reduce((sum, part) => sum + part.byteLength, 0));
  writeU64(viewOf(page), 0, firstLeaf);
  let at = 8;
  for (const part of parts) {
    page.set(part, at);
    at += part.byteLength;
  }
  return page;
}

/** HAVE's body. */
export function encodeBitmapPage(page: BitmapPage): Uint8Array {
  return encodePage(page.firstLeaf, [page.bits]);
}

/** @throws {ProtocolError} for a body that is not a bitmap page. */
export function decodeBitmapPage(body: Uint8Array): BitmapPage {
  const firstLeaf = firstLeafOf(body, "bitmap");
  if (firstLeaf % 8 !== 0) {
    throw new ProtocolError(
      `The peer sent a bitmap that begins at leaf ${firstLeaf}, not at a byte`,
    );
  }
  return { firstLeaf, bits: body.slice(8) };
}

/**
 * The leaves that a bitmap page names.
 *
 * @throws {ProtocolError} for a leaf that the tensor does not have.
 */
export function* leavesOf(page: BitmapPage, leafTotal: number): Generator<number> {
  for (const [n, byte] of page.bits.entries()) {
    for (let bit = 0; bit < 8; bit++) {
      if ((byte & (1 << bit)) === 0) continue;
      const leaf = page.firstLeaf + n * 8 + bit;
      if (leaf >= leafTotal) throw new ProtocolError(`The peer named leaf ${leaf} of ${leafTotal}`);
      yield leaf;
    }
  }
}

/** DIGESTS' body. */
export function encodeDigestPage(page: DigestPage): Uint8Array {
  return encodePage(page.firstLeaf, page.digests);
}

/** @throws {ProtocolError} for a body that is not whole digests. */
export function decodeDigestPage(body: Uint8Array): DigestPage {
  const firstLeaf = firstLeafOf(body, "page of digests");
  if ((body.byteLength - 8) % DIGEST_BYTES !== 0) {
    throw new ProtocolError("The peer sent a page of digests that ends inside one");
  }
  const digests: Uint8Array[] = [];
  for (let at = 8; at < body.byteLength; at += DIGEST_BYTES) {
    digests.push(body.slice(at, at + DIGEST_BYTES));
  }
  return { firstLeaf, digests };
}

/** REFETCH's and ACK's body. */
export function encodeRanges(ranges: readonly LeafRange[]): Uint8Array {
  const body = new Uint8Array(ranges.length * RANGE_BYTES);
  const view = viewOf(body);
  for (const [n, range] of ranges.entries()) {
    writeU64(view, n * RANGE_BYTES, range.first);
    view.setUint32(n * RANGE_BYTES + 8, range.count, true);
  }
  return body;
}

/** @throws {ProtocolError} for a body that is not whole ranges of leaves below `leafTotal`. */
export function decodeRanges(body: Uint8Array, leafTotal: number): LeafRange[] {
  const view = viewOf(body);
  const ranges: LeafRange[] = [];
  for (let at = 0; at + RANGE_BYTES <= body.byteLength; at += RANGE_BYTES) {
    const range = { first: readU64(view, at), count: view.getUint32(at + 8, true) };
    if (!(range.count > 0 && range.first + range.count <= leafTotal)) {
      throw new ProtocolError(
        `The peer named leaves ${range.first} to ${range.first + range.count - 1} of ${leafTotal}`,
      );
    }
    ranges.push(range);
  }
  if (body.byteLength % RANGE_BYTES !== 0 || ranges.length === 0) {
    throw new ProtocolError("The peer sent a list of leaves that ends inside a range or is empty");
  }
  return ranges;
}

/** A proof that the leaves from `first` on, `count` of them, belong to a tensor. */
export interface ProofPage {
  readonly first: number;
  readonly count: number;
  /** 32 bytes each, as `createRangeProof` gives them. */
  readonly hashes: Uint8Array;
}

/** PROOF's body. */
export function encodeProof({ first, count, hashes }: ProofPage): Uint8Array {
  const body = new Uint8Array(RANGE_BYTES + hashes.byteLength);
  body.set(encodeRanges([{ first, count }]));
  body.set(hashes, RANGE_BYTES);
  return body;
}

/** @throws {ProtocolError} for a body that is not a range below `leafTotal` and whole hashes. */
export function decodeProof(body: Uint8Array, leafTotal: number): ProofPage {
  const [range] = decodeRanges(body.subarray(0, RANGE_BYTES), leafTotal);
  const hashes = body.slice(RANGE_BYTES);
  if (!range || hashes.byteLength % DIGEST_BYTES !== 0) {
    throw new ProtocolError("The peer sent a proof that ends inside a hash");
  }
  return { first: range.first, count: range.count, hashes };
}

/** CREDIT's body: an absolute offset; PING's and PONG's: a number to be sent back. */
export function encodeNumber(value: number): Uint8Array {
  const body = new Uint8Array(8);
  writeU64(viewOf(body), 0, value);
  return body;
}

/** @throws {ProtocolError} for a body that is not one safe integer. */
export function decodeNumber(body: Uint8Array): number {
  const value = body.byteLength === 8 ? readU64(viewOf(body), 0) : Number.NaN;
  if (Number.isNaN(value)) throw new ProtocolError("The peer sent something else than one number");
  return value;
}
