// This module runs in every runtime.
import type { Sha256 } from "../platform/sha256.ts";

/** The length of a digest, a node and a root: SHA-256. */
export const DIGEST_BYTES = 32;

const LEAF_DOMAIN = 0x00;
const INNER_DOMAIN = 0x01;
const NO_PARTS: readonly Uint8Array[] = [];

/** @throws {RangeError} for anything but 32 bytes, which a hash of fixed parts would read differently. */
export function checkDigest(digest: Uint8Array, what: string): Uint8Array {
  if (digest.byteLength !== DIGEST_BYTES) {
    throw new RangeError(`${what} must be ${DIGEST_BYTES} bytes, found ${digest.byteLength}`);
  }
  return digest;
}

/** The node above one leaf: `SHA-256(0x00 || leaf digest)`. */
export function leafNode(digest: Uint8Array, sha256: Sha256): Uint8Array | Promise<Uint8Array> {
  checkDigest(digest, "A leaf digest");
  return sha256([joined(LEAF_DOMAIN, digest)]);
}

/** The node above two: `SHA-256(0x01 || left || right)`. */
export function innerNode(
  left: Uint8Array,
  right: Uint8Array,
  sha256: Sha256,
): Uint8Array | Promise<Uint8Array> {
  return sha256([joined(INNER_DOMAIN, left, right)]);
}

/** Hashing one part takes a third of the time of hashing several. */
function joined(domain: number, ...nodes: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(1 + nodes.length * DIGEST_BYTES);
  bytes[0] = domain;
  for (const [n, node] of nodes.entries()) bytes.set(node, 1 + n * DIGEST_BYTES);
  return bytes;
}

/** How many of `leafTotal` leaves, at least two, stand left of the top: the largest power of two below it. */
export function leftLeaves(leafTotal: number): number {
  let left = 1;
  // Not by shifting: a tensor may have more than 2^31 leaves.
  while (left * 2 < leafTotal) left *= 2;
  return left;
}

/**
 * The top of the binary tree over the digests, in the shape of RFC 6962 section 2.1: left of each
 * inner node stands the largest power of two of leaves below its count. With no digests it is the
 * SHA-256 of nothing. Takes one hash a node, and memory for one node a level.
 *
 * @throws {RangeError} for a digest that is not 32 bytes.
 *
 * @example
 * ```ts
 * import { merkleTop, sha256 } from "headrace";
 *
 * const leaves = [new Uint8Array(4), new Uint8Array(8)];
 * const digests = await Promise.all(leaves.map((leaf) => sha256([leaf])));
 * const top = await merkleTop(digests, sha256);
 * console.log(top.byteLength); // 32
 * ```
 */
export async function merkleTop(
  digests: Iterable<Uint8Array>,
  sha256: Sha256,
): Promise<Uint8Array> {
  // Tops of the perfect trees so far, the tallest first: the ones in the binary form of `count`.
  const tops: Uint8Array[] = [];
  const joinLastTwo = async () => {
    const right = tops.pop() as Uint8Array;
    const left = tops.pop() as Uint8Array;
    tops.push(await innerNode(left, right, sha256));
  };
  let count = 0;
  for (const digest of digests) {
    tops.push(await leafNode(digest, sha256));
    count++;
    for (let trees = count; trees % 2 === 0; trees /= 2) await joinLastTwo();
  }
  while (tops.length > 1) await joinLastTwo();
  return tops[0] ?? sha256(NO_PARTS);
}
