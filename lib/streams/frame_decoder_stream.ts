// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { LimitError, ProtocolError, TransportError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { LeafDigest, TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount } from "../tensor/leaf.ts";
import { type ChunkHead, checkChunkPlace } from "../wire/chunk_head.ts";
import { decodeChecked, decodeMessage } from "../wire/control.ts";
import { errorOf } from "../wire/fault.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import { type FrameHandler, FrameParser } from "../wire/frame_parser.ts";
import type { Complete, Offer } from "../wire/messages.ts";
import { type DigestPage, decodeDigestPage } from "../wire/pages.ts";
import { completeShape, faultShape, offerShape, phaseShape } from "../wire/transfer_shapes.ts";
import { ChunkCollector } from "./chunk_collector.ts";

/** Options of a {@linkcode FrameDecoderStream}. */
export interface FrameDecoderOptions {
  readonly limits?: Limits;
  /** Whether the bytes begin with a connection's preamble; default `false`. */
  readonly expectPreamble?: boolean;
}

/**
 * Turns the frames of one transfer, in any slicing, back into chunks as they were sent: still
 * compressed, with their checksum, and with the digests of the leaves that end in them.
 *
 * Frames of the connection itself (stream 0) are passed over, but for its errors. The stream errors
 * with a {@linkcode TransportError} when a check fails or the bytes end before the transfer is
 * complete, with a {@linkcode ProtocolError} for anything that SPEC.md does not allow, with a
 * {@linkcode LimitError} for a tensor over `maxTensorBytes`, and with what the sender reported.
 *
 * @example
 * ```ts
 * import { AssemblerStream, DecompressorStream, FrameDecoderStream, VerifierStream } from "headrace";
 *
 * async function receive(frames: ReadableStream<Uint8Array>): Promise<number> {
 *   const decoder = new FrameDecoderStream();
 *   const bytes = frames
 *     .pipeThrough(decoder)
 *     .pipeThrough(new DecompressorStream())
 *     .pipeThrough(new VerifierStream(decoder))
 *     .pipeThrough(new AssemblerStream());
 *   let received = 0;
 *   for await (const part of bytes) received += part.byteLength;
 *   return received;
 * }
 * ```
 */
export class FrameDecoderStream extends TransformStream<Uint8Array, TensorChunk> {
  /** What was offered; rejects when the stream fails before. */
  readonly offer: Promise<Offer>;
  /** What the sender said at the end; rejects when the stream fails before. */
  readonly complete: Promise<Complete>;

  constructor(options: FrameDecoderOptions = {}) {
    const limits = options.limits ?? DEFAULT_LIMITS;
    const transfer = new TransferReader(limits);
    const parser = new FrameParser(transfer, limits, options.expectPreamble ?? false);
    const failing = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        transfer.fail(error);
        throw error;
      }
    };
    // `cancel` is newer than the oldest runtime, which ignores it.
    const transformer: Transformer<Uint8Array, TensorChunk> & { cancel(reason: unknown): void } = {
      transform: (bytes, controller) =>
        failing(() => {
          if (!(bytes instanceof Uint8Array)) {
            throw new TypeError(`FrameDecoderStream takes Uint8Array, found ${typeof bytes}`);
          }
          parser.push(bytes);
          for (const chunk of transfer.found.splice(0)) controller.enqueue(chunk);
        }),
      flush: () =>
        failing(() => {
          parser.end();
          if (transfer.isComplete) return;
          throw new TransportError("The connection ended before the transfer was complete");
        }),
      cancel: (reason) => transfer.fail(reason),
    };
    super(transformer);
    this.offer = transfer.offer.promise;
    this.complete = transfer.complete.promise;
  }
}

/** Digests that may wait for the chunks that end their leaves. */
const MAX_WAITING_DIGESTS = 65_536;

/** Holds the frames of one transfer to the order that SPEC.md gives them. */
class TransferReader implements FrameHandler {
  readonly offer: Deferred<Offer> = deferred();
  readonly complete: Deferred<Complete> = deferred();
  readonly found: TensorChunk[] = [];
  isComplete = false;
  readonly #limits: Limits;
  #stream = 0;
  #offer: Offer | undefined;
  #collector = new ChunkCollector([]);
  /** Digests that came before the chunk that ends their leaf. */
  readonly #digests = new Map<number, Uint8Array>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  fail(error: unknown): void {
    this.offer.reject(error);
    this.complete.reject(error);
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    const isEnd = header.type === FRAME.error || header.type === FRAME.cancel;
    if (isEnd) throw errorOf(decodeMessage(faultShape, header, payload));
    if (header.stream === 0) return;
    if (!this.#offer && header.type === FRAME.offer) {
      this.#begin(header, payload);
      return;
    }
    const offer = this.#opened(header);
    if (header.type === FRAME.digests && header.flags === 0) {
      this.#expect(decodeDigestPage(decodeChecked(header, payload)), offer);
    } else if (header.type === FRAME.phase) {
      decodeMessage(phaseShape, header, payload);
    } else if (header.type === FRAME.complete && !this.#collector.isOpen) {
      const complete = decodeMessage(completeShape, header, payload);
      if (complete.byteLength !== offer.descriptor.byteLength) throw outOfOrder(header);
      this.isComplete = true;
      this.complete.resolve(complete);
    } else {
      throw outOfOrder(header);
    }
  }

  chunk(header: FrameHeader, head: ChunkHead, dataBytes: number): void {
    const { descriptor, chunkBytes } = this.#opened(header);
    checkChunkPlace(head, descriptor.byteLength, chunkBytes);
    this.#collector.begin(head, dataBytes);
  }

  chunkData(bytes: Uint8Array): void {
    const chunk = this.#collector.data(bytes);
    if (chunk) this.found.push({ ...chunk, leafDigests: this.#digestsWithin(chunk) });
  }

  #begin(header: FrameHeader, payload: Uint8Array): void {
    const offer = decodeMessage(offerShape, header, payload);
    const { byteLength } = offer.descriptor;
    if (byteLength > this.#limits.maxTensorBytes) {
      throw new LimitError(
        `The peer offered ${byteLength} bytes; at most ${this.#limits.maxTensorBytes} are taken`,
      );
    }
    this.#offer = offer;
    this.#stream = header.stream;
    this.#collector = new ChunkCollector(offer.codecs);
    this.offer.resolve(offer);
  }

  #expect(page: DigestPage, offer: Offer): void {
    const leafTotal = leafCount(offer.descriptor.byteLength);
    const end = page.firstLeaf + page.digests.length;
    if (end > leafTotal) {
      throw new ProtocolError(`The peer sent the digest of leaf ${end - 1} of ${leafTotal}`);
    }
    for (const [n, digest] of page.digests.entries()) this.#digests.set(page.firstLeaf + n, digest);
    if (this.#digests.size > MAX_WAITING_DIGESTS) {
      throw new ProtocolError("The peer sent digests of leaves that it did not send");
    }
  }

  #digestsWithin(chunk: TensorChunk): LeafDigest[] {
    const end = chunk.byteOffset + chunk.rawBytes;
    const found: LeafDigest[] = [];
    for (let index = Math.floor(chunk.byteOffset / LEAF_BYTES); index * LEAF_BYTES < end; index++) {
      const digest = this.#digests.get(index);
      const leafEnd = Math.min((index + 1) * LEAF_BYTES, this.#offer?.descriptor.byteLength ?? 0);
      if (!digest || leafEnd > end) continue;
      this.#digests.delete(index);
      found.push({ index, digest });
    }
    return found;
  }

  /** The offer, once it is there and for its own stream's frames, until the transfer is complete. */
  #opened(header: FrameHeader): Offer {
    if (this.#offer && header.stream === this.#stream && !this.isComplete) return this.#offer;
    throw outOfOrder(header);
  }
}

function outOfOrder(header: FrameHeader): ProtocolError {
  return new ProtocolError(`The peer sent a ${frameName(header.type)} frame out of order`);
}
