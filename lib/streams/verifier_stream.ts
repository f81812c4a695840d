// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import { type Sha256, sha256 } from "../platform/sha256.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
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
    let held: TensorChunk[] = [];
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
        held.push(chunk);
        for (const leaf of collector.add(chunk.byteOffset, chunk.bytes)) {
          const digest = await hash(leaf.parts);
          const wanted = expected.get(leaf.index);
          if (!wanted || !equalBytes(digest, wanted)) throw leafFault(leaf.index);
          expected.delete(leaf.index);
          digests[leaf.index] = digest;
        }
        if (collector.openLeaves > 0) return;
        for (const verified of held) controller.enqueue(verified);
        held = [];
      },
      async flush() {
        const [{ descriptor, digest }, { root }] = await Promise.all([
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
        if (digest === "none") return;
        if (!root || !equalBytes(await tensorRoot(descriptor, digests, hash), root)) {
          throw new IntegrityError("source", "The tensor's root is not the one that its sender gave");
        }
      },
    });
  }
}

/** @throws {IntegrityError} when a raw chunk is not what its checksum says. */
export function verifyChecksum(chunk: TensorChunk): void {
  if (chunk.codec !== "none" || chunk.bytes.byteLength !== chunk.rawBytes) {
    throw new TypeError("Only uncompressed chunks can be verified: pipe through DecompressorStream");
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
    byteOffset: index * 2 ** 20,
  });
}
