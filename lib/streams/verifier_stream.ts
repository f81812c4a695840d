// This module runs in every runtime.
import { IntegrityError, ProtocolError } from "../errors.ts";
import { type Sha256, sha256 } from "../platform/sha256.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { tensorRoot } from "../tensor/root.ts";
import type { Complete, Offer } from "../wire/messages.ts";
import { xxh32 } from "../wire/xxh32.ts";
import { LeafCollector } from "./leaf_collector.ts";

/** What a {@linkcode VerifierStream} verifies against; a FrameDecoderStream is one. */
export interface VerifierOptions {
  readonly offer: Promise<Offer>;
  readonly complete: Promise<Complete>;
  readonly sha256?: Sha256;
}

/**
 * Lets only verified bytes pass: every chunk by its XXH32, every leaf by its SHA-256 before any
 * chunk of it goes on, the tensor by its length and root before the end. Holds at most one leaf or
 * one chunk, whichever is larger.
 *
 * With the digest mode `"none"` only checksums and the length are looked at. The stream errors with
 * an {@linkcode IntegrityError} that names the byte offset.
 */
export class VerifierStream extends TransformStream<TensorChunk, TensorChunk> {
  constructor(options: VerifierOptions) {
    const hash = options.sha256 ?? sha256;
    const expected = new Map<number, Uint8Array>();
    const digests: Uint8Array[] = [];
    const held: TensorChunk[] = [];
    let verifiedEnd = 0;
    let collector: LeafCollector | undefined;
    let receivedBytes = 0;
    super({
      async transform(chunk, controller) {
        const offer = await options.offer;
        verifyChecksum(chunk);
        receivedBytes += chunk.rawBytes;
        if (offer.digest === "none") return controller.enqueue(chunk);
        for (const leaf of chunk.leafDigests ?? []) expected.set(leaf.index, leaf.digest);
        collector ??= new LeafCollector(offer.descriptor.byteLength);
        verifiedEnd = holdNext(held, chunk) ? verifiedEnd : chunk.byteOffset;
        for (const leaf of collector.add(chunk.byteOffset, chunk.bytes)) {
          const digest = await hash(leaf.parts);
          const wanted = expected.get(leaf.index);
          if (!wanted || !equalBytes(digest, wanted)) throw leafFault(leaf.index);
          if (digests[leaf.index]) throw new ProtocolError(`Leaf ${leaf.index} came twice`);
          expected.delete(leaf.index);
          digests[leaf.index] = digest;
          verifiedEnd = (leaf.index + 1) * LEAF_BYTES;
        }
        while (held[0] && held[0].byteOffset + held[0].rawBytes <= verifiedEnd) {
          controller.enqueue(held.shift() as TensorChunk);
        }
        if (collector.openLeaves === 0) for (const last of held.splice(0)) controller.enqueue(last);
      },
      async flush() {
        const [{ descriptor, digest, version }, complete] = await Promise.all([
          options.offer,
          options.complete,
        ]);
        if (receivedBytes !== descriptor.byteLength) {
          throw new IntegrityError(
            "transit",
            `The tensor ended after ${receivedBytes} of ${descriptor.byteLength} bytes`,
            { byteOffset: receivedBytes },
          );
        }
        if (!equalBytes(complete.version, version)) {
          throw new IntegrityError("source", "The tensor changed while it was sent");
        }
        if (digest === "none") return;
        const { root } = complete;
        if (!root || !equalBytes(await tensorRoot(descriptor, digests, hash), root)) {
          throw new IntegrityError(
            "source",
            "The tensor's root is not the one that its sender gave",
          );
        }
      },
    });
  }
}

/**
 * Holds a chunk back until its leaves are verified.
 *
 * @returns whether others were held already.
 * @throws {ProtocolError} for a chunk that does not follow them: what is held must stay little.
 */
function holdNext(held: TensorChunk[], chunk: TensorChunk): boolean {
  const before = held.at(-1);
  if (before && before.byteOffset + before.rawBytes !== chunk.byteOffset) {
    throw new ProtocolError(
      `The chunk at byte ${chunk.byteOffset} came inside a leaf that is whole at another`,
      { byteOffset: chunk.byteOffset },
    );
  }
  held.push(chunk);
  return before !== undefined;
}

/** @throws {IntegrityError} when a raw chunk is not what its checksum says. */
export function verifyChecksum(chunk: TensorChunk): void {
  if (chunk.codec !== "none" || chunk.bytes.byteLength !== chunk.rawBytes) {
    throw new TypeError(
      "Only uncompressed chunks can be verified: pipe through DecompressorStream",
    );
  }
  if (xxh32(chunk.bytes) === chunk.checksum) return;
  throw new IntegrityError(
    "transit",
    `The chunk at byte ${chunk.byteOffset} does not match its checksum`,
    { byteOffset: chunk.byteOffset },
  );
}

function leafFault(index: number): IntegrityError {
  return new IntegrityError("transit", `Leaf ${index} does not match its digest`, {
    byteOffset: index * LEAF_BYTES,
  });
}
