// This module runs in every runtime.
import { ProtocolError, TransportError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { CHUNK_HEAD_BYTES, FRAME, FRAME_HEADER_BYTES, writeFrameHeader } from "./frame_header.ts";
import { readU64, viewOf, writeU64 } from "./u64.ts";
import { xxh32 } from "./xxh32.ts";

const CHECKED_BYTES = 28;
const CHECK_SEED = 0x6368756e;

/** What a CHUNK frame says before its data: which chunk, and which fragment of it. */
export interface ChunkHead {
  /** Where the chunk begins in the tensor. */
  readonly byteOffset: number;
  /** The chunk's length before compression. */
  readonly rawBytes: number;
  /** The chunk's length on the wire, all fragments together. */
  readonly encodedBytes: number;
  /** Where this fragment begins in the encoded chunk. */
  readonly fragmentOffset: number;
  /** XXH32 of the uncompressed chunk. */
  readonly checksum: number;
  /** 0 is none; n is the n-th codec of the transfer's OFFER, counted from 1. */
  readonly codec: number;
}

/** Writes header and chunk head, {@linkcode FRAME_HEADER_BYTES} + {@linkcode CHUNK_HEAD_BYTES} bytes. */
export function writeChunkFront(
  into: Uint8Array,
  stream: number,
  head: ChunkHead,
  dataBytes: number,
  flags = 0,
): void {
  writeFrameHeader(into, {
    type: FRAME.chunk,
    flags,
    stream,
    payloadBytes: CHUNK_HEAD_BYTES + dataBytes,
  });
  const bytes = into.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES);
  const view = viewOf(bytes);
  writeU64(view, 0, head.byteOffset);
  view.setUint32(8, head.rawBytes, true);
  view.setUint32(12, head.encodedBytes, true);
  view.setUint32(16, head.fragmentOffset, true);
  view.setUint32(20, head.checksum, true);
  view.setUint32(24, head.codec, true);
  view.setUint32(CHECKED_BYTES, xxh32(bytes.subarray(0, CHECKED_BYTES), CHECK_SEED), true);
}

/**
 * Reads a chunk head and holds it to what the frame's length allows.
 *
 * @param dataBytes The bytes that follow the head in the frame.
 * @throws {TransportError} when the check fails.
 * @throws {ProtocolError} when the numbers contradict each other or pass a limit.
 */
export function readChunkHead(
  bytes: Uint8Array,
  dataBytes: number,
  limits: Limits = DEFAULT_LIMITS,
): ChunkHead {
  const view = viewOf(bytes);
  if (view.getUint32(CHECKED_BYTES, true) !== xxh32(bytes.subarray(0, CHECKED_BYTES), CHECK_SEED)) {
    throw new TransportError("Cannot read a chunk: the check of its head does not match");
  }
  const head: ChunkHead = {
    byteOffset: readU64(view, 0),
    rawBytes: view.getUint32(8, true),
    encodedBytes: view.getUint32(12, true),
    fragmentOffset: view.getUint32(16, true),
    checksum: view.getUint32(20, true),
    codec: view.getUint32(24, true),
  };
  const fault = faultOf(head, dataBytes, limits);
  if (fault) throw new ProtocolError(`The peer sent a chunk that cannot be: ${fault}`);
  return head;
}

function faultOf(head: ChunkHead, dataBytes: number, limits: Limits): string | undefined {
  const { byteOffset, rawBytes, encodedBytes, fragmentOffset, codec } = head;
  if (Number.isNaN(byteOffset) || !Number.isSafeInteger(byteOffset + rawBytes)) {
    return "its offset is past 2^53 - 1";
  }
  if (rawBytes === 0 || rawBytes > limits.maxChunkBytes) {
    return `${rawBytes} bytes, where 1 to ${limits.maxChunkBytes} are taken`;
  }
  if (codec === 0 ? encodedBytes !== rawBytes : encodedBytes === 0 || encodedBytes >= rawBytes) {
    return `${encodedBytes} encoded bytes for ${rawBytes} with codec ${codec}`;
  }
  if (dataBytes === 0 || fragmentOffset + dataBytes > encodedBytes) {
    return `a fragment of ${dataBytes} bytes at ${fragmentOffset} of ${encodedBytes}`;
  }
  return undefined;
}

/**
 * Holds a chunk to its tensor: within it, no longer than was offered, and either inside one leaf or
 * made of whole leaves (the tensor's last may be short).
 *
 * @param chunkBytes The offer's most.
 * @throws {ProtocolError} for a chunk that is not.
 */
export function checkChunkPlace(head: ChunkHead, byteLength: number, chunkBytes: number): void {
  const { byteOffset, rawBytes } = head;
  const end = byteOffset + rawBytes;
  const isOneLeaf = Math.floor(byteOffset / LEAF_BYTES) === Math.floor((end - 1) / LEAF_BYTES);
  const endsLeaf = end % LEAF_BYTES === 0 || end === byteLength;
  let fault: string | undefined;
  if (end > byteLength) fault = `it ends after the tensor's ${byteLength} bytes`;
  else if (rawBytes > chunkBytes) fault = `at most ${chunkBytes} bytes were offered`;
  else if (!isOneLeaf && !(byteOffset % LEAF_BYTES === 0 && endsLeaf)) {
    fault = "it holds a part of a leaf beside another";
  }
  if (!fault) return;
  throw new ProtocolError(
    `The peer sent a chunk of ${rawBytes} bytes at ${byteOffset} that cannot be: ${fault}`,
    { byteOffset },
  );
}

/** The head of the fragment of `chunk` that begins at `fragmentOffset`. */
export function chunkHeadOf(chunk: TensorChunk, codec: number, fragmentOffset: number): ChunkHead {
  if (chunk.checksum === undefined) {
    throw new TypeError(
      "A chunk needs its checksum before it is framed: pipe it through ChecksumStream",
    );
  }
  return {
    byteOffset: chunk.byteOffset,
    rawBytes: chunk.rawBytes,
    encodedBytes: chunk.bytes.byteLength,
    fragmentOffset,
    checksum: chunk.checksum,
    codec,
  };
}
