// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import { eventTurn } from "../event_turn.ts";
import type { LeafDigests } from "../session/leaf_digests.ts";
import type { ResponseMeter } from "../session/response_meter.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { DIGEST_BYTES } from "../tensor/merkle.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import type { ByteRange } from "./http_range.ts";

/** Who counts a body, and who hears what it failed with. */
export interface BodyWatch {
  readonly meter?: ResponseMeter | undefined;
  readonly onError?: ((error: unknown) => void) | undefined;
}

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
  watch: BodyWatch = {},
): ReadableStream<Uint8Array> {
  let at = from;
  const next = () => {
    const length = Math.min(PIECE_BYTES, end - at);
    at += length;
    return read(source, at - length, length);
  };
  return streamOf(source, version, end - from, next, watch);
}

/** The digests of a tensor's leaves in order, each read and hashed when it is wanted. */
export function digestsBodyOf(
  source: TensorSource,
  version: SourceVersion,
  leaves: LeafDigests,
  watch: BodyWatch = {},
): ReadableStream<Uint8Array> {
  let at = 0;
  const next = async () => {
    const end = Math.min(at + PAGE_DIGESTS, leaves.leafTotal);
    const page = new Uint8Array(DIGEST_BYTES * (end - at));
    for (let n = 0; at < end; at++, n++) {
      page.set(await leaves.of(at), DIGEST_BYTES * n);
      // Hashing what is in memory waits for nothing: others get their turn every few leaves.
      if (n % 4 === 3) await eventTurn();
    }
    return page;
  };
  return streamOf(source, version, DIGEST_BYTES * leaves.leafTotal, next, watch);
}

/** Piece after piece until there are so many bytes, and the source let go of at the end. */
function streamOf(
  source: TensorSource,
  version: SourceVersion,
  byteLength: number,
  next: () => Promise<Uint8Array>,
  { meter, onError }: BodyWatch,
): ReadableStream<Uint8Array> {
  const metered = meter?.begin();
  let leftBytes = byteLength;
  let isLetGo = false;
  // Who leaves in the middle of a read ends it both ways.
  const letGo = async (): Promise<void> => {
    if (isLetGo) return;
    isLetGo = true;
    metered?.over(leftBytes === 0);
    await source.close?.();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const piece = leftBytes > 0 ? await next() : undefined;
          if (isLetGo) return;
          leftBytes -= piece?.byteLength ?? 0;
          // Before the last piece is given: who has all that was promised looks no further.
          if (leftBytes === 0 && !equalBytes(await source.version(), version)) {
            throw new IntegrityError("source", "The tensor changed while it was sent");
          }
          metered?.gave(piece?.byteLength ?? 0);
          if (piece) controller.enqueue(piece);
          if (leftBytes > 0) return;
          controller.close();
        } catch (error) {
          // What fails because its reader left, and the source with it, is nobody's failure.
          if (isLetGo) return;
          metered?.over(false);
          controller.error(error);
          onError?.(error);
        }
        await letGo();
      },
      cancel: letGo,
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
