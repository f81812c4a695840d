// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { LeafBitmap, type LeafRange } from "../tensor/bitmap.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount } from "../tensor/leaf.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";

/**
 * A receiver's account of one tensor's leaves: what is safe, what was asked for again, how far the
 * sender may go. Arithmetic only; nothing is sent or stored here.
 */
export class LeafLedger {
  readonly byteLength: number;
  readonly leafTotal: number;
  readonly #windowBytes: number;
  readonly #maxRefetches: number;
  readonly #digests: (Uint8Array | undefined)[];
  readonly #refetches = new Map<number, number>();
  readonly #refetching = new Set<number>();
  #safe: LeafBitmap;
  #firstMissing = 0;
  #limit = 0;
  #unacknowledged: LeafRange[] = [];

  /**
   * @param windowBytes How far the sender may be ahead of what is safe.
   * @param maxRefetches How often one leaf is asked for again.
   */
  constructor(byteLength: number, windowBytes: number, maxRefetches: number) {
    this.byteLength = byteLength;
    this.leafTotal = leafCount(byteLength);
    this.#windowBytes = windowBytes;
    this.#maxRefetches = maxRefetches;
    this.#safe = new LeafBitmap(this.leafTotal);
    this.#digests = new Array(this.leafTotal);
  }

  /** Whether every leaf is safe. */
  get isFull(): boolean {
    return this.#safe.isFull;
  }

  /** Whether leaves are awaited a second time. */
  get isRefetching(): boolean {
    return this.#refetching.size > 0;
  }

  /** Which leaves are safe. */
  get safe(): LeafBitmap {
    return this.#safe;
  }

  /** The digests of all leaves, once the ledger is full. */
  get digests(): readonly Uint8Array[] {
    return this.#digests as Uint8Array[];
  }

  /** A leaf is safe, from now or from an earlier attempt. */
  keep(leaf: LeafDigest, isNew: boolean): void {
    this.#safe.set(leaf.index);
    this.#digests[leaf.index] = leaf.digest;
    this.#refetching.delete(leaf.index);
    if (!isNew) return;
    const last = this.#unacknowledged.at(-1);
    if (last && last.first + last.count === leaf.index) {
      this.#unacknowledged[this.#unacknowledged.length - 1] = { ...last, count: last.count + 1 };
    } else {
      this.#unacknowledged.push({ first: leaf.index, count: 1 });
    }
  }

  /** Leaves that were thought safe are not. */
  forget(leaves: ReadonlySet<number>): void {
    const safe = new LeafBitmap(this.leafTotal);
    for (let index = 0; index < this.leafTotal; index++) {
      if (this.#safe.has(index) && !leaves.has(index)) safe.set(index);
    }
    this.#safe = safe;
    this.#firstMissing = 0;
  }

  /** A leaf will be asked for again; `false` when it has been too often. */
  refetch(index: number): boolean {
    const count = (this.#refetches.get(index) ?? 0) + 1;
    this.#refetches.set(index, count);
    this.#refetching.add(index);
    return count <= this.#maxRefetches;
  }

  /** The new credit limit where it is worth telling, else `undefined`. */
  grant(): number | undefined {
    this.#firstMissing = this.#safe.firstMissing(this.#firstMissing) ?? this.leafTotal;
    const limit = Math.min(this.#firstMissing * LEAF_BYTES + this.#windowBytes, this.byteLength);
    const isWorthIt = limit - this.#limit >= this.#windowBytes / 4 || limit === this.byteLength;
    if (limit <= this.#limit || !isWorthIt) return undefined;
    this.#limit = limit;
    return limit;
  }

  /** Leaves that became safe since the last call. */
  takeUnacknowledged(): readonly LeafRange[] {
    const ranges = this.#unacknowledged;
    this.#unacknowledged = [];
    return ranges;
  }

  /**
   * Holds a chunk that begins to what was asked for, before memory is taken for it.
   *
   * @throws {ProtocolError} for a chunk outside the tensor or the credit, across leaves it does not
   *   fill, or of leaves that are here already.
   */
  check(head: ChunkHead, chunkBytes: number): void {
    const { byteOffset, rawBytes } = head;
    const end = byteOffset + rawBytes;
    const first = Math.floor(byteOffset / LEAF_BYTES);
    const last = Math.floor((end - 1) / LEAF_BYTES);
    const isWhole =
      byteOffset % LEAF_BYTES === 0 && (end % LEAF_BYTES === 0 || end === this.byteLength);
    let fault: string | undefined;
    if (end > this.byteLength) fault = `it ends after the tensor's ${this.byteLength} bytes`;
    else if (rawBytes > chunkBytes) fault = `at most ${chunkBytes} bytes were offered`;
    else if (first !== last && !isWhole) fault = "it holds a part of a leaf beside another";
    for (let index = first; !fault && index <= last; index++) {
      if (this.#safe.has(index)) fault = `leaf ${index} is here already`;
      else if (end > this.#limit && !this.#refetching.has(index)) fault = "it is past its credit";
    }
    if (!fault) return;
    throw new ProtocolError(
      `The peer sent a chunk of ${rawBytes} bytes at ${byteOffset} that nobody asked for: ${fault}`,
      { byteOffset },
    );
  }
}
