// This module runs in every runtime.
import { IntegrityError, LimitError, ProtocolError } from "../errors.ts";
import { formatAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { MAX_CHUNK_BYTES } from "../tensor/chunk.ts";
import type { DigestMode, Offer, Request } from "../wire/messages.ts";
import type { SessionContext } from "./session_context.ts";

/** @throws {IntegrityError} when the tensor is not the one that is wanted. */
export function checkRoot(
  wanted: Uint8Array | undefined,
  found: Uint8Array,
  { address }: Pick<Offer, "address">,
): void {
  if (!wanted || equalBytes(wanted, found)) return;
  const name = formatAddress(address);
  throw new IntegrityError("source", `${name} does not have the root that was asked for`, {
    address: name,
    retryable: false,
  });
}

/** @throws {ProtocolError | LimitError} for an offer that is not to be taken, before a sink is opened. */
export function checkBounds(offer: Offer, digest: DigestMode, context: SessionContext): void {
  if (offer.chunkBytes > context.limits.maxChunkBytes || offer.digest !== digest) {
    throw new ProtocolError(
      `The peer offered chunks of ${offer.chunkBytes} bytes with digest ${offer.digest}`,
    );
  }
  const codec = offer.codecs.find((name) => !context.codecs.some((own) => own.name === name));
  if (codec !== undefined) {
    throw new ProtocolError(`The peer offered codec ${codec}, which cannot be undone here`);
  }
  const { byteLength } = offer.descriptor;
  const maxBytes = context.streaming ? context.limits.maxTensorBytes : MAX_CHUNK_BYTES;
  if (byteLength <= maxBytes) return;
  throw new LimitError(`The peer offered ${byteLength} bytes; at most ${maxBytes} are taken`);
}

/** @throws {ProtocolError | IntegrityError} for an offer that does not answer the request. */
export function checkOffer(offer: Offer, { id, epoch, address, version }: Request): void {
  const wanted = formatAddress(address);
  const isSame = equalBytes(offer.id, id) && offer.epoch === epoch;
  if (!isSame || formatAddress(offer.address) !== wanted) {
    throw new ProtocolError(`The peer offered something else than ${wanted}`);
  }
  if (!version || equalBytes(offer.version, version)) return;
  const message = `${wanted} is not the version that was asked for any more`;
  throw new IntegrityError("source", message, { address: wanted });
}
