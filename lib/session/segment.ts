// This module runs in every runtime.
import type { Compression } from "../codec/compression.ts";
import { encodeChunk } from "../codec/encode_chunk.ts";
import type { CompressionGovernor } from "../codec/governor.ts";
import { chunkEnd, type TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import type { TensorSource } from "../tensor/source.ts";
import { xxh32 } from "../wire/xxh32.ts";
import type { LeafDigests } from "./leaf_digests.ts";
import type { SessionContext } from "./session_context.ts";

/** A run of whole leaves, read and hashed at once, and the chunks it is sent as. */
export interface Segment {
  readonly firstLeaf: number;
  /** One for each leaf; empty without digests. */
  readonly digests: readonly Uint8Array[];
  readonly chunks: readonly TensorChunk[];
  /** Gives the segment's memory back. */
  release(): void;
}

/** How segments are made. */
export interface SegmentOptions {
  readonly source: TensorSource;
  readonly context: SessionContext;
  /** Decides whether compressing pays on this link. */
  readonly governor: CompressionGovernor;
  readonly chunkBytes: number;
  readonly codec: Compression | undefined;
  /** Left out when leaves carry no digests. */
  readonly digests: LeafDigests | undefined;
}

/** Where the segment that begins at `byteOffset`, a leaf's beginning, ends: a leaf or a chunk, the larger. */
export function segmentEnd(byteOffset: number, chunkBytes: number): number {
  return chunkEnd(byteOffset, Math.max(chunkBytes, LEAF_BYTES));
}

/** Reads a segment once, and gets it ready to be sent. */
export async function prepareSegment(
  byteOffset: number,
  end: number,
  options: SegmentOptions,
): Promise<Segment> {
  const { source, context, governor, chunkBytes, codec } = options;
  const byteLength = end - byteOffset;
  const own =
    source.view?.(byteOffset, byteLength) ?? (await source.lend?.(byteOffset, byteLength));
  const bytes = own ?? context.buffers.take(byteLength);
  if (!own) await source.read(byteOffset, bytes);
  const firstLeaf = byteOffset / LEAF_BYTES;
  const digests: Uint8Array[] = [];
  for (let at = 0; options.digests && at < bytes.byteLength; at += LEAF_BYTES) {
    const leaf = bytes.subarray(at, at + LEAF_BYTES);
    digests.push(await options.digests.ofBytes(firstLeaf + digests.length, leaf));
  }
  const chunks: TensorChunk[] = [];
  for (let at = byteOffset; at < end; at += chunks.at(-1)?.rawBytes ?? 0) {
    const chunkLength = Math.min(chunkEnd(at, chunkBytes), end) - at;
    const raw = bytes.subarray(at - byteOffset, at - byteOffset + chunkLength);
    const { thresholdBytes, clock } = context;
    const encoded = codec
      ? await encodeChunk(raw, { codec, thresholdBytes, governor, clock })
      : { codec: "none", bytes: raw };
    chunks.push({ byteOffset: at, rawBytes: raw.byteLength, checksum: xxh32(raw), ...encoded });
  }
  const release = () => {
    if (!own) context.buffers.give(bytes);
  };
  return { firstLeaf, digests, chunks, release };
}
