// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import type { Sha256 } from "../platform/sha256.ts";
import { equalBytes } from "./bytes.ts";
import type { TensorDescriptor } from "./descriptor.ts";
import { leafCount } from "./leaf.ts";
import { checkDigest, DIGEST_BYTES, innerNode, leafNode, leftLeaves, merkleTop } from "./merkle.ts";
import { tensorRootOfTop } from "./root.ts";

/** What {@linkcode verifyRangeProof} is to believe, and why. */
export interface RangeProof {
  /** The descriptor under the root. */
  readonly descriptor: TensorDescriptor;
  /** The tensor's root, from somebody trusted. */
  readonly root: Uint8Array;
  /** The index of the first leaf of the range. */
  readonly first: number;
  /** SHA-256 of each leaf of the range, in order; at least one. */
  readonly digests: readonly Uint8Array[];
  /** What {@linkcode createRangeProof} returned. */
  readonly proof: Uint8Array;
}

/** Leaves from `from` up to but without `end`. */
interface Span {
  readonly from: number;
  readonly end: number;
}

type Place = "outside" | "inside" | "across";

function placeOf(span: Span, range: Span): Place {
  if (span.end <= range.from || range.end <= span.from) return "outside";
  return range.from <= span.from && span.end <= range.end ? "inside" : "across";
}

function halves({ from, end }: Span): [Span, Span] {
  const middle = from + leftLeaves(end - from);
  return [
    { from, end: middle },
    { from: middle, end },
  ];
}

/** The largest subtrees without a leaf of the range, left to right: their tops are the proof. */
function siblingsIn(span: Span, range: Span): Span[] {
  const place = placeOf(span, range);
  if (place === "outside") return [span];
  if (place === "inside") return [];
  return halves(span).flatMap((half) => siblingsIn(half, range));
}

/**
 * The subtrees of which a proof has the tops, left to right.
 *
 * @throws {RangeError} for a range that is empty or not within the tensor.
 */
export function siblingsOf(leafTotal: number, first: number, count: number): readonly Span[] {
  return siblingsIn({ from: 0, end: leafTotal }, checkRange(first, count, leafTotal));
}

function checkRange(first: number, count: number, leafTotal: number): Span {
  const end = first + count;
  if (
    !Number.isSafeInteger(first) ||
    !Number.isSafeInteger(count) ||
    first < 0 ||
    count < 1 ||
    end > leafTotal
  ) {
    throw new RangeError(
      `A proof is for one leaf or more of the tensor's ${leafTotal}, found ${count} from ${first} on`,
    );
  }
  return { from: first, end };
}

/**
 * Proves that the leaves from `first` on, `count` of them, belong to a tensor: the tops of the
 * largest subtrees outside the range, left to right, 32 bytes each. That is at most two a level of
 * the tree; none for the whole tensor.
 *
 * @param digests SHA-256 of every leaf of the tensor.
 * @throws {RangeError} for a range that is empty or not within the tensor.
 *
 * @example
 * ```ts
 * import { createRangeProof, sha256 } from "headrace";
 *
 * const leaf = await sha256([new Uint8Array(1024 * 1024)]);
 * const proof = await createRangeProof([leaf, leaf, leaf, leaf], 2, 1, sha256);
 * console.log(proof.byteLength); // 64: leaves 0 and 1 as one, and leaf 3
 * ```
 */
export async function createRangeProof(
  digests: readonly Uint8Array[],
  first: number,
  count: number,
  sha256: Sha256,
): Promise<Uint8Array> {
  const siblings = siblingsOf(digests.length, first, count);
  const proof = new Uint8Array(siblings.length * DIGEST_BYTES);
  for (const [place, { from, end }] of siblings.entries()) {
    proof.set(await merkleTop(digests.slice(from, end), sha256), place * DIGEST_BYTES);
  }
  return proof;
}

/**
 * Checks that `digests` are those of the leaves from `first` on in the tensor that has this root.
 * The bytes of each leaf are then checked against its digest.
 *
 * @throws {IntegrityError} in transit, for a proof of another length than the range needs, or one
 *   that does not lead to the root.
 * @throws {RangeError} for a range that is empty or not within the tensor, or a digest or root that
 *   is not 32 bytes.
 *
 * @example
 * ```ts
 * import {
 *   createDescriptor,
 *   createRangeProof,
 *   sha256,
 *   tensorRoot,
 *   verifyRangeProof,
 * } from "headrace";
 *
 * const descriptor = createDescriptor("U8", [3 * 1024 * 1024]);
 * const leaf = await sha256([new Uint8Array(1024 * 1024)]);
 * const root = await tensorRoot(descriptor, [leaf, leaf, leaf], sha256);
 *
 * const proof = await createRangeProof([leaf, leaf, leaf], 1, 1, sha256);
 * await verifyRangeProof({ descriptor, root, first: 1, digests: [leaf], proof }, sha256);
 * ```
 */
export async function verifyRangeProof(
  { descriptor, root, first, digests, proof }: RangeProof,
  sha256: Sha256,
): Promise<void> {
  const leafTotal = leafCount(descriptor.byteLength);
  const range = checkRange(first, digests.length, leafTotal);
  const whole: Span = { from: 0, end: leafTotal };
  checkDigest(root, "A root");
  for (const digest of digests) checkDigest(digest, "A leaf digest");

  const wanted = siblingsIn(whole, range).length * DIGEST_BYTES;
  if (proof.byteLength !== wanted) {
    throw new IntegrityError(
      "transit",
      `The proof of ${digests.length} leaves from ${first} on takes ${wanted} bytes, found ${proof.byteLength}`,
    );
  }

  let at = 0;
  const topOf = async (span: Span): Promise<Uint8Array> => {
    if (placeOf(span, range) === "outside") {
      at += DIGEST_BYTES;
      return proof.subarray(at - DIGEST_BYTES, at);
    }
    if (span.end - span.from === 1) {
      return leafNode(digests[span.from - first] as Uint8Array, sha256);
    }
    const [left, right] = halves(span);
    // One after the other: siblings are taken from the proof left to right.
    const leftTop = await topOf(left);
    return innerNode(leftTop, await topOf(right), sha256);
  };
  const found = await tensorRootOfTop(descriptor, await topOf(whole), sha256);
  if (!equalBytes(found, root)) {
    throw new IntegrityError(
      "transit",
      `The proof of ${digests.length} leaves from ${first} on does not lead to the tensor's root`,
    );
  }
}
