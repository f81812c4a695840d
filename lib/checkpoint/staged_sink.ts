// This module runs in every runtime.
import { StorageError } from "../errors.ts";
import type { Sha256 } from "../platform/sha256.ts";
import { checkLeaf } from "../session/memory_sink.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";
import { DURABLE, type JournalRecord } from "./journal.ts";
import { type Ledger, type LedgerTensor, leafDigests, leafRecords, type Place } from "./ledger.ts";
import type { StagedFile } from "./staged_file.ts";

/** What a {@linkcode StagedSink} shares with the other sinks of its output. */
export interface StagedShare {
  /** As `TensorSink.pace`. */
  readonly pace: NonNullable<TensorSink["pace"]>;
  readonly ledger: Ledger;
  /** Until when leaves written now can be believed: this boot, or `DURABLE`. */
  readonly boot: string;
  readonly sha256: Sha256;
  /** Whether leaves written under this boot can be believed unread. */
  trusts(boot: string): boolean;
  /** Appends to the journal, then to the ledger. */
  record(records: readonly JournalRecord[]): Promise<void>;
  /** Lends a staged file and translates what fails. */
  useFile<T>(
    attempted: string,
    fileName: string,
    work: (file: StagedFile) => Promise<T>,
  ): Promise<T>;
  /** Told once, when the sink is done with. */
  onRelease(sink: StagedSink): void;
}

const MAX_VERSION_BYTES = 32;

/**
 * Takes one tensor into a range of a staged file. The record of a leaf is written after its bytes,
 * and taken back before they are written again, so that whenever the process ends, the journal
 * vouches for nothing that is not there.
 */
export class StagedSink implements TensorSink {
  readonly pace: NonNullable<TensorSink["pace"]>;
  readonly place: Place;
  readonly #share: StagedShare;
  readonly #underWay = new Set<Promise<unknown>>();
  #tensor: LedgerTensor | undefined;
  #open = true;
  /** Whether all that the ledger has of the tensor can be believed. */
  #isChecked = false;

  constructor(share: StagedShare, place: Place) {
    this.#share = share;
    this.pace = share.pace;
    this.place = place;
  }

  /** As `TensorSink.held`; what an unclean restart of the machine puts in doubt is read and hashed. */
  held(): Promise<Held | undefined> {
    return this.#work(async () => {
      const tensor = this.#share.ledger.find(this.place);
      if (tensor === undefined) return undefined;
      await this.#check(tensor);
      return { version: tensor.version, leaves: leafDigests(tensor) };
    });
  }

  begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    if (version.byteLength > MAX_VERSION_BYTES) {
      throw new RangeError(
        `A source's version takes at most ${MAX_VERSION_BYTES} bytes, found ${version.byteLength}`,
      );
    }
    return this.#work(async () => {
      const { ledger, boot } = this.#share;
      const held = ledger.find(this.place);
      if (held !== undefined && keep.length > 0) await this.#check(held);
      const kept = new Map<number, Uint8Array>();
      for (const { index, digest } of keep) {
        const known = held?.leaves.get(index);
        if (known !== undefined && equalBytes(known, digest)) kept.set(index, known);
      }
      // Also makes the file, which a tensor without bytes would never do.
      await this.#file("write to", async (file) => {
        if (boot === DURABLE && kept.size > 0) await file.sync();
      });
      const goesOn =
        held?.boot === boot && held.leaves.size === kept.size && equalBytes(held.version, version);
      if (!goesOn) {
        const ref = ledger.takeRef();
        const begin = {
          kind: "begin",
          ref,
          ...this.place,
          version: version.slice(),
          boot,
        } as const;
        await this.#share.record([begin, ...leafRecords(ref, kept)]);
      }
      this.#tensor = ledger.find(this.place);
      if (this.#tensor !== undefined) this.#tensor.current = true;
    });
  }

  write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    checkLeaf(leaf, bytes, this.place.byteLength);
    const { index } = leaf;
    const digest = leaf.digest.slice();
    return this.#work(async () => {
      const { ref, leaves } = this.#begun();
      if (leaves.has(index)) await this.#share.record([{ kind: "forget", ref, index }]);
      await this.#file("write to", async (file) => {
        await file.write(bytes, this.place.fileOffset + index * LEAF_BYTES);
        if (this.#share.boot === DURABLE) await file.sync();
      });
      await this.#share.record([{ kind: "leaf", ref, index, digest }]);
    });
  }

  commit(root: Uint8Array | undefined): Promise<void> {
    return this.#work(async () => {
      const { ref, leaves } = this.#begun();
      const wanted = leafCount(this.place.byteLength);
      if (leaves.size !== wanted) {
        throw new TypeError(`A tensor of ${wanted} leaves was committed with ${leaves.size}`);
      }
      await this.#share.record([{ kind: "commit", ref, root: root?.slice() }]);
    });
  }

  async release(): Promise<void> {
    this.#open = false;
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    this.#share.onRelease(this);
  }

  #begun(): LedgerTensor {
    if (this.#tensor === undefined)
      throw new TypeError("begin() comes before write() and commit()");
    return this.#tensor;
  }

  /** Runs one step, unless the sink is released, and lets `release` wait for it. */
  async #work<T>(step: () => Promise<T>): Promise<T> {
    if (!this.#open) {
      throw new StorageError(`Cannot go on with ${this.place.fileName}: it was let go`);
    }
    const running = step();
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
    }
  }

  #file<T>(attempted: string, work: (file: StagedFile) => Promise<T>): Promise<T> {
    return this.#share.useFile(attempted, this.place.fileName, work);
  }

  /** Drops the leaves that may not, and do not, have the bytes which the journal says. */
  async #check(tensor: LedgerTensor): Promise<void> {
    if (this.#isChecked || this.#share.trusts(tensor.boot)) return;
    const { byteLength, fileOffset } = this.place;
    const buffer = new Uint8Array(Math.min(LEAF_BYTES, byteLength));
    for (const [index, digest] of [...tensor.leaves]) {
      const bytes = buffer.subarray(0, leafLength(index, byteLength));
      const whole = await this.#file("read", (file) =>
        file.read(bytes, fileOffset + index * LEAF_BYTES),
      );
      if (whole && equalBytes(await this.#share.sha256([bytes]), digest)) continue;
      tensor.leaves.delete(index);
      tensor.committed = false;
    }
    this.#isChecked = true;
  }
}
