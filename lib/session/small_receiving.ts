// This module runs in every runtime.
import type { Compression } from "../codec/compression.ts";
import { decodeChunk } from "../codec/decode_chunk.ts";
import { IntegrityError, ProtocolError } from "../errors.ts";
import { verifyChecksum } from "../streams/verifier_stream.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { type LeafDigest, MIN_CHUNK_BYTES } from "../tensor/chunk.ts";
import { tensorRoot } from "../tensor/root.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { DigestMode, Offer } from "../wire/messages.ts";
import type { TensorFrame } from "../wire/tensor_frame.ts";
import type { SessionContext } from "./session_context.ts";

/** What a tensor frame is held to. */
export interface SmallCheck {
  readonly context: Pick<SessionContext, "sha256">;
  readonly digest: DigestMode;
  /** This end's, in the order in which its HELLO named them. */
  readonly codecs: readonly Compression[];
}

/**
 * The tensor's bytes, decoded and held to their digest, or to their checksum where there is none.
 *
 * @param tensor Its data belongs to nobody else; its digest may be valid during the call only.
 * @throws {IntegrityError} in transit, for bytes that are not what they were said to be.
 * @throws {ProtocolError} for a frame without the digest that it needs, or with an unknown codec.
 */
export function openSmall(
  tensor: TensorFrame,
  { context, digest, codecs }: SmallCheck,
): Uint8Array | Promise<Uint8Array> {
  const { descriptor, data, codec, checksum } = tensor;
  const isHashed = digest === "sha256" && descriptor.byteLength > 0;
  if (isHashed !== (tensor.digest !== undefined)) {
    throw new ProtocolError(`The peer sent a tensor frame with digest mode other than ${digest}`);
  }
  const name = codec === 0 ? "none" : codecs[codec - 1]?.name;
  if (name === undefined)
    throw new ProtocolError(`The peer used codec ${codec} of ${codecs.length}`);
  let wanted = tensor.digest;
  const judge = (bytes: Uint8Array, found: Uint8Array): Uint8Array => {
    if (wanted && equalBytes(found, wanted)) return bytes;
    throw new IntegrityError("transit", "A tensor in one frame does not match its digest");
  };
  const check = (bytes: Uint8Array): Uint8Array | Promise<Uint8Array> => {
    if (!isHashed) {
      const rawBytes = bytes.byteLength;
      verifyChecksum({ byteOffset: 0, rawBytes, bytes, codec: "none", checksum });
      return bytes;
    }
    const found = context.sha256([bytes]);
    return found instanceof Promise ? found.then((it) => judge(bytes, it)) : judge(bytes, found);
  };
  const raw = decodeChunk(data, name, descriptor.byteLength, { codecs });
  const opened = raw instanceof Promise ? raw.then(check) : check(raw);
  // What is compared later must not be somebody else's memory by then.
  if (opened instanceof Promise) wanted = wanted?.slice();
  return opened;
}

/** Which transfer an attempt belongs to, and of what. */
export type TransferIdentity = Pick<Offer, "id" | "epoch" | "address" | "priority">;

/** Where a tensor from one frame goes. */
export interface SmallTaking extends SmallCheck {
  readonly context: SessionContext;
  /** Which transfer this is, and of what. */
  readonly identity: TransferIdentity;
  /** Opens the sink; refuses by throwing. */
  readonly open: (offer: Offer) => Promise<TensorSink>;
  /** The root that the tensor must have, from somebody trusted. */
  readonly root?: Uint8Array;
  readonly isOver: () => boolean;
  /** From here on the tensor is made final. */
  readonly onCommit: () => void;
}

/**
 * Verifies a tensor that came in one frame, whose data belongs to nobody else, and puts it into its
 * sink.
 *
 * @returns its root, where it has digests; `undefined` when nobody wants it any more.
 */
export async function takeSmall(
  tensor: TensorFrame,
  taking: SmallTaking,
): Promise<{ readonly root: Uint8Array | undefined } | undefined> {
  const { context, digest, isOver } = taking;
  const { descriptor, version } = tensor;
  const bytes = await openSmall(tensor, taking);
  const digests = tensor.digest ? [tensor.digest] : [];
  const root =
    digest === "none" ? undefined : await tensorRoot(descriptor, digests, context.sha256);
  if (taking.root && (!root || !equalBytes(taking.root, root))) {
    throw new IntegrityError("source", "The tensor does not have the root that was asked for", {
      retryable: false,
    });
  }
  const offer: Offer = {
    ...taking.identity,
    descriptor,
    version,
    digest,
    codecs: [],
    chunkBytes: MIN_CHUNK_BYTES,
  };
  const sink = await taking.open(offer);
  if (isOver()) {
    await sink.release();
    return undefined;
  }
  const leaf = { index: 0, digest: tensor.digest ?? new Uint8Array(32) };
  const held = context.streaming ? await sink.held() : undefined;
  const isSame = digest === "sha256" || (held !== undefined && equalBytes(held.version, version));
  const here = isSame
    ? held?.leaves.filter((one) => equalBytes(one.digest, leaf.digest))
    : undefined;
  await sink.begin(version, here ?? []);
  // What is here already may be in a file that nothing is to be written to.
  if (bytes.byteLength > 0 && !here?.length) await put(sink, leaf, bytes);
  if (isOver()) return undefined;
  taking.onCommit();
  await sink.commit(root);
  return { root };
}

/** Gives a sink bytes that nobody else has. */
function put(sink: TensorSink, leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
  if (sink.adopt) return sink.adopt(leaf, bytes);
  const place = sink.buffer?.(0);
  place?.set(bytes);
  return sink.write(leaf, place ?? bytes);
}
