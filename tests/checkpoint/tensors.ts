// Tensors with known bytes, and the steps that a pull takes with a checkpoint of any store.
import type { Checkpoint } from "../../lib/checkpoint/checkpoint_store.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { LEAF_BYTES, leafCount } from "../../lib/tensor/leaf.ts";
import type { TensorSink } from "../../lib/tensor/sink.ts";

export const V1: Uint8Array = Uint8Array.of(1);
export const V2: Uint8Array = Uint8Array.of(2);

/** Bytes that differ for each seed and do not repeat at leaf borders. */
export function bytesOf(byteLength: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  let state = seed * 2654435761 + 1;
  for (let at = 0; at < byteLength; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** The sink of a tensor named after its place. */
export function sinkOf(
  output: Checkpoint,
  fileName: string,
  fileOffset: number,
  byteLength: number,
  tensor = `t${fileOffset}`,
): TensorSink {
  const address = { model: "m", partition: fileName, tensor };
  return output.sink(fileName, fileOffset, address, createDescriptor("U8", [byteLength]));
}

export async function writeLeaf(sink: TensorSink, bytes: Uint8Array, index: number): Promise<void> {
  const leaf = bytes.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES);
  await sink.write({ index, digest: await sha256([leaf]) }, leaf);
}

/** Fetches a tensor: keeps what is held of this version, writes the rest. Returns what it wrote. */
export async function fetchTensor(
  output: Checkpoint,
  fileName: string,
  fileOffset: number,
  bytes: Uint8Array,
  version: Uint8Array = V1,
): Promise<number[]> {
  const sink = sinkOf(output, fileName, fileOffset, bytes.byteLength);
  try {
    const held = await sink.held();
    const isSame = held?.version[0] === version[0];
    const keep = isSame ? (held?.leaves ?? []) : [];
    await sink.begin(version, keep);
    const kept = new Set(keep.map((leaf) => leaf.index));
    const written: number[] = [];
    for (let index = leafCount(bytes.byteLength) - 1; index >= 0; index--) {
      if (kept.has(index)) continue;
      await writeLeaf(sink, bytes, index);
      written.push(index);
    }
    await sink.commit(undefined);
    return written.reverse();
  } finally {
    await sink.release();
  }
}

/** The indices of the leaves that a tensor's sink holds, in order. */
export async function heldIndices(sink: TensorSink): Promise<number[] | undefined> {
  const held = await sink.held();
  return held?.leaves.map((leaf) => leaf.index).sort((a, b) => a - b);
}
