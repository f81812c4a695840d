// The golden vectors, with their byte strings as bytes; scripts/wire_vectors.py makes them.
import type { TensorChunk } from "../../lib/tensor/chunk.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { ChunkHead } from "../../lib/wire/chunk_head.ts";
import { CHUNK_HEAD_BYTES, FRAME_HEADER_BYTES } from "../../lib/wire/frame_header.ts";
import type { ListingEntry } from "../../lib/wire/listing.ts";
import type { Messages } from "../../lib/wire/messages.ts";
import type { BitmapPage, DigestPage, ProofPage } from "../../lib/wire/pages.ts";
import type { StreamRun } from "../../lib/wire/receipts.ts";
import type { RequestList } from "../../lib/wire/request_list.ts";
import type { TensorFrame } from "../../lib/wire/tensor_frame.ts";
import { fromHex } from "../hex.ts";
import transfersJson from "../vectors/transfers.json" with { type: "json" };
import wireJson from "../vectors/wire.json" with { type: "json" };

/** A golden control frame. */
export interface ControlVector {
  readonly kind: keyof Messages;
  readonly stream: number;
  readonly message: Messages[keyof Messages];
  readonly bytes: Uint8Array;
}

/** What the body of a frame of fixed binary layout says, all kinds together. */
export type BinaryValue = BitmapPage &
  DigestPage &
  ProofPage &
  RequestList & {
    readonly ranges: readonly { first: number; count: number }[];
    readonly runs: readonly StreamRun[];
    readonly number: number;
    readonly entries: readonly ListingEntry[];
  };

/** A golden frame whose payload is fixed binary. */
export interface BinaryVector {
  readonly kind: string;
  readonly flags: number;
  readonly stream: number;
  readonly value: Partial<BinaryValue>;
  readonly bytes: Uint8Array;
}

/** A golden chunk: its encoded bytes, and the frames of its fragments. */
export interface ChunkVector {
  readonly stream: number;
  readonly flags: number;
  readonly data: Uint8Array;
  readonly frames: readonly { readonly head: ChunkHead; readonly bytes: Uint8Array }[];
}

/** A golden frame that holds a whole tensor. */
export interface TensorVector {
  readonly stream: number;
  readonly tensor: TensorFrame;
  readonly bytes: Uint8Array;
}

/** A golden transfer, as its sender writes it. */
export interface TransferVector {
  readonly byteLength: number;
  readonly fragmentBytes: number;
  readonly digest: "sha256" | "none";
  readonly content: Uint8Array;
  /** What the FrameEncoderStream is given. */
  readonly chunks: readonly TensorChunk[];
  readonly frames: readonly Uint8Array[];
  /** SHA-256 of all frames. */
  readonly sha256: string;
}

/** Byte strings are `{ hex }` in the files. */
function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== "object" || value === null) return value;
  const { hex, ...rest } = value as { hex?: string };
  if (hex !== undefined && Object.keys(rest).length === 0) return fromHex(hex);
  const fields = Object.entries(rest).map(([name, field]) => [name, revive(field)]);
  return { ...Object.fromEntries(fields), ...(hex !== undefined && { bytes: fromHex(hex) }) };
}

interface WireVectors {
  readonly preambles: readonly { lowest: number; highest: number; bytes: Uint8Array }[];
  readonly control: readonly ControlVector[];
  readonly binary: readonly BinaryVector[];
  readonly chunks: readonly ChunkVector[];
  readonly tensors: readonly TensorVector[];
  readonly skippable: Uint8Array;
}

const wire = revive(wireJson) as WireVectors;

/** Preambles and frames, one by one. */
export const vectors: WireVectors = {
  ...wire,
  chunks: wireJson.chunks.map((chunk, n) => ({
    ...(wire.chunks[n] as ChunkVector),
    data: fromHex(chunk.data),
  })),
  skippable: fromHex(wireJson.skippable),
};

/** Every golden frame, whatever its kind. */
export const allFrames: readonly Uint8Array[] = [
  ...vectors.control.map(({ bytes }) => bytes),
  ...vectors.binary.map(({ bytes }) => bytes),
  ...vectors.chunks.flatMap(({ frames }) => frames.map(({ bytes }) => bytes)),
  ...vectors.tensors.map(({ bytes }) => bytes),
  vectors.skippable,
];

/** What the golden transfers carry: a pattern in even leaves, their number in odd ones. */
export function contentOf(byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (let i = 0; i < byteLength; i++) {
    const leaf = Math.floor(i / LEAF_BYTES);
    bytes[i] = leaf % 2 === 1 ? leaf : i ^ (i >> 8) ^ (i >> 16);
  }
  return bytes;
}

/** Parts put together. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

type Part = string | number[];
const DATA_AT = FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES;

export const transferId: Uint8Array = fromHex(transfersJson.id.hex);
export const transferVersion: Uint8Array = fromHex(transfersJson.version.hex);
export const transferAddress: typeof transfersJson.address = transfersJson.address;

/** Whole transfers, in the order of scripts/wire_vectors.py; the last one is tiny. */
export const transfers: readonly TransferVector[] = transfersJson.transfers.map((one) => {
  const content = contentOf(one.byteLength);
  const bytesOf = (part: Part): Uint8Array => {
    if (typeof part === "string") return fromHex(part);
    const [from = 0, length = 0] = part;
    return content.subarray(from, from + length);
  };
  const frames = one.frames.map((parts) => concat((parts as Part[]).map(bytesOf)));
  const chunkFrames = frames.filter((frame) => frame[0] === 0x14);
  const offsetOf = (frame: Uint8Array) =>
    new DataView(frame.buffer, frame.byteOffset).getUint32(FRAME_HEADER_BYTES, true);
  const chunks = one.chunks.map(({ byteOffset, rawBytes, checksum, codec, leaves }) => ({
    byteOffset,
    rawBytes,
    checksum,
    codec: codec === 1 ? "deflate" : "none",
    bytes: concat(
      chunkFrames
        .filter((frame) => offsetOf(frame) === byteOffset)
        .map((frame) => frame.subarray(DATA_AT)),
    ),
    leafDigests: leaves.map((index) => ({ index, digest: fromHex(one.leafDigests[index] ?? "") })),
  }));
  const { byteLength, fragmentBytes, sha256 } = one;
  const digest = one.digest === "none" ? "none" : "sha256";
  return { byteLength, fragmentBytes, digest, content, chunks, frames, sha256 };
});
