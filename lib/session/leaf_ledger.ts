// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import { LeafBitmap, type LeafRange } from "../tensor/bitmap.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
import { type ChunkHead, checkChunkPlace } from "../wire/chunk_head.ts";

/** A sender that cannot read again keeps what is not acknowledged: it must not have to keep more. */
const ACK_AFTER_BYTES = 2 * 1024 * 1024;

/**
 * A receiver's account of one tensor's leaves: what is safe, what was asked for again, how far the
 * sender may go. Arithmetic only; nothing is sent or stored here.
 */
export class LeafLedger {
  readonly #maxRefetches: number;
  readonly #digests: (Uint8Array | undefined)[] = [];
  readonly #refetches = new Map<number, number>();
  /** Asked for again, and not begun again yet. */
  readonly #again = new Set<number>();
  /** Begun again, and not safe yet. */
  readonly #resent = new Set<number>();
  /** How much has come of leaves that are not safe yet. */
  readonly #arrivedBytes = new Map<number, number>();
  #byteLength: number;
  #safe: LeafBitmap;
  #firstMissing = 0;
  #limit = 0;
  #unacknowledged: LeafRange[] = [];
  #unacknowledgedBytes = 0;

  /** @param maxRefetches How often one leaf is asked for again. */
  constructor(byteLength: number, maxRefetches: number) {
    this.#byteLength = byteLength;
    this.#maxRefetches = maxRefetches;
    this.#safe = new LeafBitmap(leafCount(byteLength));
  }

  /** The tensor's length, or the most that it may be. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** How many leaves that takes. */
  get leafTotal(): number {
    return this.#safe.leafTotal;
  }

  /**
   * The tensor, of unknown length until now, ends here.
   *
   * @throws {ProtocolError} when more has come already.
   */
  settle(byteLength: number): void {
    let cameBytes = this.#digests.length * LEAF_BYTES;
    if (this.#digests.length === leafCount(byteLength)) cameBytes = byteLength;
    for (const [index, bytes] of this.#arrivedBytes) {
      cameBytes = Math.max(cameBytes, index * LEAF_BYTES + bytes);
    }
    if (cameBytes > byteLength || byteLength > this.#byteLength) {
      throw new ProtocolError(
        `The peer ended a tensor of at most ${this.#byteLength} bytes at ${byteLength}; ${cameBytes} have come`,
      );
    }
    const safe = new LeafBitmap(leafCount(byteLength));
    for (let leaf = 0; leaf < this.#digests.length; leaf++) {
      if (this.#safe.has(leaf)) safe.set(leaf);
    }
    this.#byteLength = byteLength;
    this.#safe = safe;
  }

  /** Whether every leaf is safe. */
  get isFull(): boolean {
    return this.#safe.isFull;
  }

  /** Whether leaves that were asked for again have not begun to come. */
  get isAwaitingAgain(): boolean {
    return this.#again.size > 0;
  }

  /** Whether something has come of leaves that are not safe yet. */
  get isUnderWay(): boolean {
    return this.#arrivedBytes.size > 0;
  }

  /** Which leaves are safe. */
  get safe(): LeafBitmap {
    return this.#safe;
  }

  /** The digests of all leaves, once the ledger is full. */
  get digests(): readonly Uint8Array[] {
    return this.#digests as Uint8Array[];
  }

  /** A leaf was not asked for: it counts as safe, but has no digest. */
  leaveOut(index: number): void {
    this.#safe.set(index);
  }

  /** A leaf is safe, from now or from an earlier attempt. */
  keep(leaf: LeafDigest, isNew: boolean): void {
    this.#safe.set(leaf.index);
    this.#digests[leaf.index] = leaf.digest;
    this.#again.delete(leaf.index);
    this.#resent.delete(leaf.index);
    this.#arrivedBytes.delete(leaf.index);
    if (!isNew) return;
    this.#unacknowledgedBytes += leafLength(leaf.index, this.byteLength);
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
    this.#again.add(index);
    return count <= this.#maxRefetches;
  }

  /** Everything before this byte is safe. */
  get consumedBytes(): number {
    this.#firstMissing = this.#safe.firstMissing(this.#firstMissing) ?? this.leafTotal;
    return Math.min(this.#firstMissing * LEAF_BYTES, this.#byteLength);
  }

  /** How far the sender may go. */
  get limit(): number {
    return this.#limit;
  }

  /**
   * The new credit limit where it is worth telling, else `undefined`.
   *
   * @param windowBytes How far the sender may be ahead of what is safe.
   * @param isUrgent Whether any growth is worth it: the sender may be waiting.
   */
  grant(windowBytes: number, isUrgent = false): number | undefined {
    const limit = Math.min(this.consumedBytes + windowBytes, this.#byteLength);
    const isWorthIt = limit - this.#limit >= windowBytes / 4 || limit === this.#byteLength;
    if (limit <= this.#limit || !(isWorthIt || isUrgent)) return undefined;
    this.#limit = limit;
    return limit;
  }

  /** Whether enough has become safe to say so. */
  get isAckDue(): boolean {
    return this.isFull || this.#unacknowledgedBytes >= ACK_AFTER_BYTES;
  }

  /** Leaves that became safe since the last call. */
  takeUnacknowledged(): readonly LeafRange[] {
    const ranges = this.#unacknowledged;
    this.#unacknowledged = [];
    this.#unacknowledgedBytes = 0;
    return ranges;
  }

  /**
   * Holds a chunk that begins to what was asked for, before memory is taken for it.
   *
   * @param isAgain Whether the sender says that it was asked for again, and has had its credit.
   * @returns the leaves of it that are wanted. A sender that cannot cut its chunks anew repeats
   *   others beside them.
   * @throws {ProtocolError} for a chunk outside the tensor or the credit, across leaves it does not
   *   fill, not the next of its leaf, or of leaves that have come already.
   */
  admit(head: ChunkHead, chunkBytes: number, isAgain: boolean): ReadonlySet<number> {
    checkChunkPlace(head, this.byteLength, chunkBytes);
    const { byteOffset, rawBytes } = head;
    const end = byteOffset + rawBytes;
    const wanted = new Set<number>();
    let fault = end > this.#limit ? "it is past its credit" : undefined;
    for (let index = Math.floor(byteOffset / LEAF_BYTES); index * LEAF_BYTES < end; index++) {
      const from = Math.max(byteOffset - index * LEAF_BYTES, 0);
      const length = leafLength(index, this.byteLength);
      const arrived = this.#safe.has(index) ? length : (this.#arrivedBytes.get(index) ?? 0);
      const isAsked = this.#again.has(index);
      const isBegin = from === 0 && (isAgain ? isAsked : arrived === 0 && !isAsked);
      const isNext = from > 0 && from === arrived && arrived < length;
      if (isBegin || (isNext && this.#resent.has(index) === isAgain)) {
        wanted.add(index);
        if (isBegin) this.#again.delete(index);
        if (isBegin && isAgain) this.#resent.add(index);
        this.#arrivedBytes.set(index, Math.min(end - index * LEAF_BYTES, length));
      } else if (arrived < length) {
        fault ??= `byte ${arrived} of leaf ${index} was next`;
      }
    }
    if (wanted.size === 0) fault ??= "its leaves are here already";
    if (!fault) return wanted;
    throw new ProtocolError(
      `The peer sent a chunk of ${rawBytes} bytes at ${byteOffset} that nobody asked for: ${fault}`,
      { byteOffset },
    );
  }
}
