// This module runs in every runtime.
import type { LeafDigest } from "../tensor/chunk.ts";
import { leafCount, leafLength } from "../tensor/leaf.ts";
import type { BeginRecord, JournalRecord } from "./journal.ts";

/** Where a tensor lies and what it is; two are the same when all of it is the same. */
export type Place = Pick<BeginRecord, "fileName" | "fileOffset" | "byteLength" | "tensorKey">;

/** What the records say of one tensor. */
export interface LedgerTensor extends Readonly<Omit<BeginRecord, "kind">> {
  /** Digests of the verified leaves. */
  readonly leaves: Map<number, Uint8Array>;
  /** Whether all leaves were there and the root matched. */
  committed: boolean;
  root: Uint8Array | undefined;
  /** Whether it was begun since the journal was opened; not in the journal. */
  current: boolean;
}

/** Files that were all verified when their renaming began. */
export interface Finishing {
  readonly files: readonly { readonly fileName: string; readonly byteLength: number }[];
  readonly overwrite: boolean;
}

const placeId = (place: Place) =>
  JSON.stringify([place.fileName, place.fileOffset, place.byteLength, place.tensorKey]);

const endOf = (place: Place) => place.fileOffset + place.byteLength;

/**
 * What a journal's records add up to. A byte of a file belongs to at most one tensor, the one that
 * began last: were an older claim kept, its leaves would vouch for bytes that are no longer theirs.
 */
export class Ledger {
  #byRef = new Map<number, LedgerTensor>();
  #byPlace = new Map<string, LedgerTensor>();
  /** By file, in the order of offsets, disjoint; tensors without bytes are not in it. */
  #byFile = new Map<string, LedgerTensor[]>();
  #placed: { fileName: string; byteLength: number }[] = [];
  #finishing: Finishing | undefined;
  #nextRef = 1;

  /** A number that no tensor has had in this journal. */
  takeRef(): number {
    return this.#nextRef++;
  }

  /** Bytes of the verified leaves of all tensors. */
  get heldBytes(): number {
    let bytes = 0;
    for (const { leaves, byteLength } of this.tensors()) {
      for (const index of leaves.keys()) bytes += leafLength(index, byteLength);
    }
    return bytes;
  }

  /** What was being renamed, when nothing has been written since. */
  get finishing(): Finishing | undefined {
    return this.#finishing;
  }

  tensors(): IterableIterator<LedgerTensor> {
    return this.#byRef.values();
  }

  find(place: Place): LedgerTensor | undefined {
    return this.#byPlace.get(placeId(place));
  }

  /** The tensors that have bytes in the file, in the order of offsets. */
  ofFile(fileName: string): readonly LedgerTensor[] {
    return this.#byFile.get(fileName) ?? [];
  }

  /** Whether the record takes back what an earlier one says of bytes that are about to change. */
  takesBack(record: JournalRecord): boolean {
    if (record.kind === "forget") return true;
    if (record.kind !== "begin" || record.byteLength === 0) return false;
    const claims = this.ofFile(record.fileName);
    const next = claims[firstEndingAfter(claims, record.fileOffset)];
    return next !== undefined && next.fileOffset < endOf(record);
  }

  /** Takes one more record; one that speaks of nothing known changes nothing. */
  apply(record: JournalRecord): void {
    switch (record.kind) {
      case "begin":
        this.#finishing = undefined;
        this.#begin(record);
        return;
      case "leaf": {
        const tensor = this.#byRef.get(record.ref);
        if (tensor === undefined || record.index >= leafCount(tensor.byteLength)) return;
        tensor.leaves.set(record.index, record.digest);
        return;
      }
      case "forget": {
        this.#finishing = undefined;
        const tensor = this.#byRef.get(record.ref);
        if (tensor === undefined) return;
        tensor.leaves.delete(record.index);
        tensor.committed = false;
        return;
      }
      case "commit": {
        const tensor = this.#byRef.get(record.ref);
        if (tensor === undefined || tensor.leaves.size !== leafCount(tensor.byteLength)) return;
        tensor.committed = true;
        tensor.root = record.root;
        return;
      }
      case "place":
        this.#placed.push({ fileName: record.fileName, byteLength: record.byteLength });
        return;
      case "finish": {
        const files = this.#placed;
        this.#placed = [];
        if (files.length === record.files) {
          this.#finishing = { files, overwrite: record.overwrite };
        }
        return;
      }
    }
  }

  /** Forgets a tensor. */
  drop(tensor: LedgerTensor): void {
    if (this.#byRef.get(tensor.ref) !== tensor) return;
    this.#byRef.delete(tensor.ref);
    this.#byPlace.delete(placeId(tensor));
    const claims = this.#byFile.get(tensor.fileName);
    const at = claims?.indexOf(tensor) ?? -1;
    if (at >= 0) claims?.splice(at, 1);
  }

  /** Gives up what was being renamed. */
  dropFinishing(): void {
    this.#finishing = undefined;
  }

  /** The shortest journal that says the same. */
  *records(): Generator<JournalRecord> {
    for (const tensor of this.#byRef.values()) {
      const { leaves, committed, root, current: _, ...begin } = tensor;
      yield { kind: "begin", ...begin };
      yield* leafRecords(tensor.ref, leaves);
      if (committed) yield { kind: "commit", ref: tensor.ref, root };
    }
    if (this.#finishing === undefined) return;
    const { files, overwrite } = this.#finishing;
    for (const file of files) yield { kind: "place", ...file };
    yield { kind: "finish", files: files.length, overwrite };
  }

  #begin(record: BeginRecord): void {
    const { kind: _, ...begin } = record;
    this.#nextRef = Math.max(this.#nextRef, record.ref + 1);
    const sameRef = this.#byRef.get(record.ref);
    if (sameRef !== undefined) this.drop(sameRef);
    const tensor = {
      ...begin,
      leaves: new Map(),
      committed: false,
      root: undefined,
      current: false,
    };
    const samePlace = this.#byPlace.get(placeId(tensor));
    if (samePlace !== undefined) this.#byRef.delete(samePlace.ref);
    this.#claim(tensor);
    this.#byRef.set(tensor.ref, tensor);
    this.#byPlace.set(placeId(tensor), tensor);
  }

  /** Enters the tensor among its file's claims and drops those it overlaps. */
  #claim(tensor: LedgerTensor): void {
    if (tensor.byteLength === 0) return;
    let claims = this.#byFile.get(tensor.fileName);
    if (claims === undefined) {
      claims = [];
      this.#byFile.set(tensor.fileName, claims);
    }
    const from = firstEndingAfter(claims, tensor.fileOffset);
    let overlapped = 0;
    for (; from + overlapped < claims.length; overlapped++) {
      if ((claims[from + overlapped] as LedgerTensor).fileOffset >= endOf(tensor)) break;
    }
    for (const gone of claims.splice(from, overlapped, tensor)) {
      this.#byRef.delete(gone.ref);
      this.#byPlace.delete(placeId(gone));
    }
  }
}

/** Claims are disjoint, so both their ends are in order. */
function firstEndingAfter(claims: readonly LedgerTensor[], fileOffset: number): number {
  let from = 0;
  let to = claims.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (endOf(claims[middle] as LedgerTensor) <= fileOffset) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** A `leaf` record for each leaf. */
export function* leafRecords(
  ref: number,
  leaves: Iterable<readonly [number, Uint8Array]>,
): Generator<JournalRecord> {
  for (const [index, digest] of leaves) yield { kind: "leaf", ref, index, digest };
}

/** The leaves of a tensor as a sink speaks of them. */
export function leafDigests(tensor: LedgerTensor): LeafDigest[] {
  return Array.from(tensor.leaves, ([index, digest]) => ({ index, digest }));
}
