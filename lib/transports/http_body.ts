// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import type { LeafDigests } from "../session/leaf_digests.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { DIGEST_BYTES } from "../tensor/merkle.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import type { ByteRange } from "./http_range.ts";

/** What is read at once, and so what is in memory of a tensor. */
const PIECE_BYTES = 256 * 1024;

/** Digests that are given at once. */
const PAGE_DIGESTS = 64;

/**
 * A part of a tensor as a response's body, read only as fast as it is taken. One that changes
 * meanwhile ends in an error, so that whoever reads sees fewer bytes than were promised.
 */
export function bodyOf(
  source: TensorSource,
  version: SourceVersion,
  { from, end }: ByteRange,
): ReadableStream<Uint8Array> {
  let at = from;
  const next = async (): Promise<Uint8Array | undefined> => {
    const length = Math.min(PIECE_BYTES, end - at);
    at += length;
    return length > 0 ? read(source, at - length, length) : undefined;
  };
  return streamOf(source, version, next);
}

/** The digests of a tensor's leaves in order, each read and hashed when it is wanted. */
export function digestsBodyOf(
  source: TensorSource,
  version: SourceVersion,
  leaves: LeafDigests,
): ReadableStream<Uint8Array> {
  let at = 0;
  const next = async (): Promise<Uint8Array | undefined> => {
    const end = Math.min(at + PAGE_DIGESTS, leaves.leafTotal);
    if (at === end) return undefined;
    const page = new Uint8Array(DIGEST_BYTES * (end - at));
    for (let n = 0; at < end; at++, n++) page.set(await leaves.of(at), DIGEST_BYTES * n);
    return page;
  };
  return streamOf(source, version, next);
}

/** Piece after piece, and the source let go of at the end. */
function streamOf(
  source: TensorSource,
  version: SourceVersion,
  next: () => Promise<Uint8Array | undefined>,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const piece = await next();
          if (piece) {
            controller.enqueue(piece);
            return;
          }
          if (!equalBytes(await source.version(), version)) {
            throw new IntegrityError("source", "The tensor changed while it was sent");
          }
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        await source.close?.();
      },
      cancel: () => source.close?.(),
    },
    { highWaterMark: 0 },
  );
}

async function read(source: TensorSource, at: number, length: number): Promise<Uint8Array> {
  // A view belongs to the source: a response's bytes may be taken away, buffer and all.
  if (source.view) return source.view(at, length).slice();
  const bytes = new Uint8Array(length);
  await source.read(at, bytes);
  return bytes;
}
