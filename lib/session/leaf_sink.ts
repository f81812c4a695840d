// This module runs in every runtime.
import type { LeafDigest } from "../tensor/chunk.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";

/**
 * Takes leaves into memory as they come, without a place for those that do not: for a part of a
 * tensor, and for one whose length is known only at its end.
 */
export class LeafSink implements TensorSink {
  readonly pace = "memory";
  #descriptor: TensorDescriptor;
  #version: SourceVersion | undefined;
  readonly #leaves = new Map<number, { readonly leaf: LeafDigest; readonly bytes: Uint8Array }>();

  constructor(descriptor: TensorDescriptor) {
    this.#descriptor = descriptor;
  }

  /** What the tensor is, as far as it is known. */
  get descriptor(): TensorDescriptor {
    return this.#descriptor;
  }

  /** Bytes of the leaves that are here. */
  get heldBytes(): number {
    let bytes = 0;
    for (const leaf of this.#leaves.values()) bytes += leaf.bytes.byteLength;
    return bytes;
  }

  /** A copy of the bytes from one to before another, which must be here. */
  bytes(from = 0, end: number = this.#descriptor.byteLength): Uint8Array {
    const bytes = new Uint8Array(end - from);
    for (let at = from; at < end; ) {
      const index = Math.floor(at / LEAF_BYTES);
      const within = at - index * LEAF_BYTES;
      const part = this.#leaves.get(index)?.bytes.subarray(within, within + end - at);
      if (!part?.byteLength) throw new TypeError(`Leaf ${index} of the tensor is not here`);
      bytes.set(part, at - from);
      at += part.byteLength;
    }
    return bytes;
  }

  async held(): Promise<Held | undefined> {
    if (this.#version === undefined) return undefined;
    return { version: this.#version, leaves: [...this.#leaves.values()].map(({ leaf }) => leaf) };
  }

  async begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    const kept = new Set(keep.map(({ index }) => index));
    for (const index of [...this.#leaves.keys()]) if (!kept.has(index)) this.#leaves.delete(index);
    this.#version = version.slice();
  }

  async write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    this.#leaves.set(leaf.index, { leaf, bytes: bytes.slice() });
  }

  settle(descriptor: TensorDescriptor): void {
    this.#descriptor = descriptor;
  }

  async commit(): Promise<void> {}

  async release(): Promise<void> {}
}
