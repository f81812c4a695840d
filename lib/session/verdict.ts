// This module runs in every runtime.
import { IntegrityError, ProtocolError } from "../errors.ts";
import type { Sha256 } from "../platform/sha256.ts";
import { formatAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { PartBytes } from "../tensor/part.ts";
import { verifyRangeProof } from "../tensor/proof.ts";
import { tensorRoot } from "../tensor/root.ts";
import type { Complete, Offer } from "../wire/messages.ts";
import type { ProofPage } from "../wire/pages.ts";
import type { LeafLedger } from "./leaf_ledger.ts";
import { checkRoot } from "./offer_checks.ts";

/** How far what was received has been checked. */
export type Verified = "root" | "digests" | "checksums" | "length";

/** What was received, and what it is held to. */
export interface Received {
  readonly offer: Offer;
  readonly ledger: LeafLedger;
  readonly sha256: Sha256;
  /** The root that the tensor must have, from somebody trusted. */
  readonly wantedRoot?: Uint8Array | undefined;
}

/**
 * Holds the sender's last word to what it offered and to what came of it.
 *
 * @throws {ProtocolError} when it cannot be the end of this transfer.
 * @throws {IntegrityError} at source, when the tensor changed while it was sent.
 */
export function checkComplete(
  { byteLength, version, root }: Complete,
  { offer, ledger }: Pick<Received, "offer" | "ledger">,
  isPart: boolean,
): void {
  if (!ledger.isFull || offer.open) {
    throw new ProtocolError(
      `The peer says it is done, but leaf ${ledger.safe.firstMissing()} never came`,
    );
  }
  if (byteLength !== offer.descriptor.byteLength) {
    throw new ProtocolError(`The peer ends ${offer.descriptor.byteLength} bytes as ${byteLength}`);
  }
  const isRooted = offer.digest !== "none" && !isPart;
  if (isRooted !== (root !== undefined)) {
    throw new ProtocolError(`The peer ends a transfer ${root ? "with" : "without"} a root`);
  }
  if (equalBytes(version, offer.version)) return;
  const address = formatAddress(offer.address);
  throw new IntegrityError("source", `${address} changed while it was sent`, { address });
}

/**
 * Whether a whole tensor has the root that its sender says.
 *
 * @throws {IntegrityError} at source, when that is not the one that is wanted.
 */
export async function isWhole(
  { offer, ledger, sha256, wantedRoot }: Received,
  root: Uint8Array | undefined,
): Promise<boolean> {
  const ours = await tensorRoot(offer.descriptor, ledger.digests, sha256);
  checkRoot(wantedRoot, ours, offer);
  return root !== undefined && equalBytes(ours, root);
}

/**
 * Holds a part to the root, where the sender could prove that it belongs to it.
 *
 * @returns the root, where that is so.
 * @throws {IntegrityError} when the part does not belong to the root, or when one is wanted and the
 *   sender cannot prove it yet.
 */
export async function rootOfPart(
  { offer, ledger, sha256, wantedRoot }: Received,
  { leaves: { first, count } }: PartBytes,
  proof: ProofPage | undefined,
): Promise<Uint8Array | undefined> {
  const root = wantedRoot ?? offer.root;
  if (!proof || !root) {
    if (!wantedRoot) return undefined;
    throw new IntegrityError(
      "source",
      `The peer cannot prove yet that a part of ${formatAddress(offer.address)} has the root that was asked for`,
    );
  }
  const { descriptor } = offer;
  const digests = ledger.digests.slice(first, first + count);
  await verifyRangeProof({ descriptor, root, first, digests, proof: proof.hashes }, sha256);
  return root;
}

/** @throws {ProtocolError} for a proof of something else than the part that was asked for. */
export function checkProof(proof: ProofPage, offer: Offer, part: PartBytes | undefined): void {
  if (!part || offer.digest === "none" || !offer.root) {
    throw new ProtocolError("The peer proved what nobody asked it to");
  }
  const { first, count } = part.leaves;
  if (proof.first === first && proof.count === count) return;
  throw new ProtocolError(
    `The peer proved ${proof.count} leaves from ${proof.first} on instead of ${count} from ${first} on`,
  );
}
