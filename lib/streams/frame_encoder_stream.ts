// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import { type Sha256, sha256 } from "../platform/sha256.ts";
import { checkAddress, formatAddress, type TensorAddress } from "../tensor/address.ts";
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, type TensorChunk } from "../tensor/chunk.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import { tensorRoot } from "../tensor/root.ts";
import { chunkHeadOf, writeChunkFront } from "../wire/chunk_head.ts";
import { encodeChecked, encodeMessage } from "../wire/control.ts";
import { CHUNK_HEAD_BYTES, FRAME, FRAME_HEADER_BYTES } from "../wire/frame_header.ts";
import type { DigestMode } from "../wire/messages.ts";
import { encodeDigestPage } from "../wire/pages.ts";

/** The bytes before a CHUNK frame's data. */
export const CHUNK_FRONT_BYTES: number = FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES;

const ID_BYTES = 16;
const MAX_VERSION_BYTES = 32;

/** What a {@linkcode FrameEncoderStream} needs to know beside the chunks. */
export interface FrameEncoderOptions {
  readonly address: TensorAddress;
  readonly descriptor: TensorDescriptor;
  /** The transfer's 16 random bytes; made where left out. */
  readonly id?: Uint8Array;
  /**
   * The source's version, opaque, at most 32 bytes. Random where left out: then nothing that a
   * receiver has from elsewhere is taken for a part of this tensor.
   */
  readonly version?: Uint8Array;
  /** 0 to 255, default 50. */
  readonly priority?: number;
  /** Must be what the ChecksumStream before was told; default `"sha256"`. */
  readonly digest?: DigestMode;
  /** The names of the codecs that chunks may use; default `["deflate"]`. */
  readonly codecs?: readonly string[];
  /** Data bytes of one CHUNK frame; default 64 KiB. */
  readonly fragmentBytes?: number;
  /** The transfer's stream number; default 1, the first of the side that dialled. */
  readonly stream?: number;
  readonly sha256?: Sha256;
}

/**
 * Turns the chunks of one tensor into the frames of one transfer: the offer, the chunks cut into
 * fragments, the leaves' digests, and at the end the tensor's root. Every `Uint8Array` that comes
 * out is one whole frame.
 *
 * The offer goes out with the first chunk, whose length it gives as the longest; a longer one later
 * is a `TypeError`. The stream errors with an {@linkcode IntegrityError} at source when the chunks end before the
 * tensor does or go on after it.
 *
 * @throws {TypeError | RangeError} for an address, descriptor, id, version, priority, stream or
 *   fragment size that cannot be.
 *
 * @example
 * ```ts
 * import { ChecksumStream, ChunkerStream, createDescriptor, FrameEncoderStream } from "headrace";
 *
 * const frames: ReadableStream<Uint8Array> = new Blob([new Uint8Array(4096)])
 *   .stream()
 *   .pipeThrough(new ChunkerStream({ chunkBytes: 1024 }))
 *   .pipeThrough(new ChecksumStream())
 *   .pipeThrough(
 *     new FrameEncoderStream({
 *       address: { model: "m", partition: "default", tensor: "t" },
 *       descriptor: createDescriptor("F32", [1024]),
 *     }),
 *   );
 * let count = 0;
 * for await (const _frame of frames) count++;
 * console.log(count); // offer, 4 chunks, digests, complete: 7
 * ```
 */
export class FrameEncoderStream extends TransformStream<TensorChunk, Uint8Array> {
  constructor(options: FrameEncoderOptions) {
    checkOptions(options);
    const { address, descriptor } = options;
    const stream = options.stream ?? 1;
    const digest = options.digest ?? "sha256";
    const codecs = options.codecs ?? ["deflate"];
    const fragmentBytes = options.fragmentBytes ?? 64 * 1024;
    const version = options.version ?? crypto.getRandomValues(new Uint8Array(16));
    const digests: Uint8Array[] = [];
    let sentBytes = 0;
    let chunks = 0;
    /** The longest chunk that was promised: the first is the longest that a chunker makes. */
    let chunkBytes: number | undefined;
    const promise = (longestBytes: number): Uint8Array => {
      chunkBytes = Math.max(MIN_CHUNK_BYTES, longestBytes);
      return encodeMessage("offer", stream, {
        id: options.id ?? crypto.getRandomValues(new Uint8Array(ID_BYTES)),
        epoch: 0,
        address,
        descriptor,
        version,
        priority: options.priority ?? 50,
        digest,
        codecs,
        chunkBytes,
      });
    };
    super({
      transform(chunk, controller) {
        if (chunkBytes === undefined) controller.enqueue(promise(chunk.rawBytes));
        if (chunk.rawBytes > (chunkBytes ?? 0)) {
          throw new TypeError(
            `A chunk of ${chunk.rawBytes} bytes came after a first one of ${chunkBytes}: the first must be the longest`,
          );
        }
        for (const leaf of chunk.leafDigests ?? []) {
          digests[leaf.index] = leaf.digest;
          const page = { firstLeaf: leaf.index, digests: [leaf.digest] };
          controller.enqueue(encodeChecked(FRAME.digests, stream, encodeDigestPage(page)));
        }
        for (const frame of encodeChunkFrames(chunk, stream, codecs, fragmentBytes)) {
          controller.enqueue(frame);
        }
        sentBytes += chunk.rawBytes;
        chunks++;
      },
      async flush(controller) {
        if (chunkBytes === undefined) controller.enqueue(promise(MIN_CHUNK_BYTES));
        if (sentBytes !== descriptor.byteLength) {
          throw new IntegrityError(
            "source",
            `Cannot send ${formatAddress(address)}: ${descriptor.byteLength} bytes were promised, ${sentBytes} came`,
            { address: formatAddress(address), byteOffset: sentBytes, retryable: false },
          );
        }
        const root =
          digest === "none"
            ? undefined
            : await tensorRoot(descriptor, digests, options.sha256 ?? sha256);
        const complete = { byteLength: sentBytes, version, root, chunks };
        try {
          controller.enqueue(encodeMessage("complete", stream, complete));
        } catch {
          // Whoever read the frames has failed meanwhile, and says why by itself.
        }
      },
    });
  }
}

/** @throws {TypeError | RangeError} for options that would make frames nobody takes. */
function checkOptions(options: FrameEncoderOptions): void {
  checkAddress(options.address);
  const { dtype, shape, byteLength } = options.descriptor;
  createDescriptor(dtype, shape, byteLength);
  const { id, version, priority = 0, fragmentBytes = 1, stream = 1 } = options;
  const inRange = (name: string, value: number, least: number, most: number) => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}, found ${value}`);
  };
  inRange("priority", priority, 0, 255);
  inRange("fragmentBytes", fragmentBytes, 1, MAX_CHUNK_BYTES);
  inRange("stream", stream, 1, 2 ** 32 - 1);
  inRange("The length of id", id?.byteLength ?? ID_BYTES, ID_BYTES, ID_BYTES);
  inRange("The length of version", version?.byteLength ?? 0, 0, MAX_VERSION_BYTES);
}

/** The CHUNK frames of one chunk, each a copy of its fragment behind header and head. */
function* encodeChunkFrames(
  chunk: TensorChunk,
  stream: number,
  codecs: readonly string[],
  fragmentBytes: number,
): Generator<Uint8Array> {
  const codec = codecNumber(chunk.codec, codecs);
  for (let at = 0; at < chunk.bytes.byteLength; at += fragmentBytes) {
    const data = chunk.bytes.subarray(at, at + fragmentBytes);
    const frame = new Uint8Array(CHUNK_FRONT_BYTES + data.byteLength);
    writeChunkFront(frame, stream, chunkHeadOf(chunk, codec, at), data.byteLength);
    frame.set(data, CHUNK_FRONT_BYTES);
    yield frame;
  }
}

/**
 * The number that stands for a codec in chunk heads.
 *
 * @throws {TypeError} for a codec that the offer does not name.
 */
export function codecNumber(name: string, codecs: readonly string[]): number {
  if (name === "none") return 0;
  const index = codecs.indexOf(name);
  if (index < 0)
    throw new TypeError(`The offer names ${codecs.join(", ")}, but a chunk uses ${name}`);
  return index + 1;
}
