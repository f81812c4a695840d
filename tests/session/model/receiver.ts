import type { CreditLine, CreditLineOptions } from "../../../lib/session/credit_line.ts";
import { LeafLedger } from "../../../lib/session/leaf_ledger.ts";
import { rangeFrames, rangesOf } from "../../../lib/session/range_frames.ts";
import { LEAF_BYTES } from "../../../lib/tensor/leaf.ts";
import type { ChunkHead } from "../../../lib/wire/chunk_head.ts";
import type { End } from "./end.ts";
import type { TransferPlan } from "./plan.ts";

const NO_DIGEST = new Uint8Array(32);
/** Damage is bounded by the plan, not by how often a leaf may be asked for. */
const MAX_REFETCHES = 1_000_000;

/** What the receiving end of a transfer does for flow control: `Receiving`, `LeafIntake` and a sink. */
export class ModelReceiver {
  readonly stream: number;
  readonly plan: TransferPlan;
  readonly ledger: LeafLedger;
  readonly #end: End;
  readonly #line: CreditLine;
  readonly #chunkBytes: number;
  /** Leaves that are whole and that nobody has taken yet. */
  readonly here: Set<number> = new Set();
  /** Leaves of which a chunk was damaged, until they begin anew. */
  readonly #damaged = new Set<number>();
  /** Whether the reader waits for bytes. */
  isWaiting: boolean;
  readsLeft: number;
  heldBytes = 0;
  isOver = false;
  isComplete = false;

  constructor(end: End, stream: number, plan: TransferPlan) {
    this.#end = end;
    this.stream = stream;
    this.plan = plan;
    this.#chunkBytes = plan.chunkLeaves * LEAF_BYTES;
    this.ledger = new LeafLedger(plan.leaves * LEAF_BYTES, MAX_REFETCHES);
    this.isWaiting = plan.sink === "reader" && (plan.isReading ?? false);
    this.readsLeft = plan.reads ?? Number.POSITIVE_INFINITY;
    end.incoming.widen(this.#chunkBytes);
    this.#line = end.creditLine({
      stream,
      ledger: this.ledger,
      chunkBytes: this.#chunkBytes,
      ...this.#pace(),
    });
    end.tellCredit();
    this.#line.accept();
  }

  #pace(): Pick<CreditLineOptions, "isReaderWaiting" | "takesAtOnce"> {
    const { sink } = this.plan;
    const takesAtOnce = sink === "reader";
    if (sink === "reader") return { isReaderWaiting: () => this.isWaiting, takesAtOnce };
    if (sink === "store") return { isReaderWaiting: () => this.here.size === 0, takesAtOnce };
    return { isReaderWaiting: undefined, takesAtOnce };
  }

  /** Whether whoever takes the bytes wants more than is here. */
  get isWilling(): boolean {
    if (this.isOver) return false;
    return this.plan.sink === "reader" ? this.isWaiting : this.here.size === 0;
  }

  get mayRead(): boolean {
    return !this.isWaiting && !this.isOver && this.readsLeft > 0;
  }

  /** Whether what comes is taken sooner or later, whatever anybody does. */
  get isPrompt(): boolean {
    return this.plan.sink === "memory" || this.plan.sink === "disk";
  }

  /** Whether what somebody waits for is taken whole when it comes. */
  get takesAtOnce(): boolean {
    const { sink, chunkLeaves } = this.plan;
    return sink === "reader" ? chunkLeaves <= 1 : this.isPrompt;
  }

  /** A chunk begins. */
  begin(head: ChunkHead, isAgain: boolean): ReadonlySet<number> {
    const wanted = this.ledger.admit(head, this.#chunkBytes, isAgain);
    if (!isAgain) this.heldBytes += head.rawBytes;
    return wanted;
  }

  /** A chunk has come whole. */
  chunk(head: ChunkHead, wanted: ReadonlySet<number>, isAgain: boolean, isDamaged: boolean): void {
    const isOfLeaves = head.byteOffset % LEAF_BYTES === 0;
    if (!isAgain && head.rawBytes > LEAF_BYTES) {
      this.#consumed(head.rawBytes - wanted.size * LEAF_BYTES);
    }
    if (isOfLeaves) for (const leaf of wanted) this.#damaged.delete(leaf);
    const fresh = [...wanted].filter((leaf) => !this.#damaged.has(leaf));
    if (isDamaged) {
      for (const leaf of fresh) {
        this.#damaged.add(leaf);
        this.ledger.refetch(leaf);
      }
      for (const frame of rangeFrames("refetch", this.stream, rangesOf(fresh))) {
        this.#end.send(frame);
      }
      return;
    }
    const end = head.byteOffset + head.rawBytes;
    for (const leaf of fresh) {
      if (this.isOver || (leaf + 1) * LEAF_BYTES > end) continue;
      this.here.add(leaf);
      if (this.plan.sink === "memory") this.store(leaf);
    }
    this.#deliver();
  }

  /** A leaf has got to where it goes. */
  store(leaf: number): void {
    this.here.delete(leaf);
    this.ledger.keep({ index: leaf, digest: NO_DIGEST }, true);
    this.#consumed(LEAF_BYTES);
    this.#line.tell();
    if (this.ledger.isFull) this.#finish();
  }

  /** The reader wants the next leaf. */
  read(): void {
    this.readsLeft--;
    this.isWaiting = true;
    this.#deliver();
    if (this.isWaiting && !this.isOver) this.#line.tell(true);
  }

  #deliver(): void {
    const next = this.ledger.consumedBytes / LEAF_BYTES;
    if (this.plan.sink !== "reader" || !this.isWaiting || !this.here.has(next)) return;
    this.isWaiting = false;
    this.store(next);
  }

  #finish(): void {
    this.isComplete = true;
    if (this.heldBytes !== 0) throw new Error(`${this.heldBytes} bytes are held of what is safe`);
    this.end();
    this.#end.sendOver(this.stream);
  }

  /** The transfer is over at this end. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#line.leave();
    const { heldBytes } = this;
    this.heldBytes = 0;
    this.#end.consumed(heldBytes);
  }

  #consumed(bytes: number): void {
    const doneBytes = Math.min(bytes, this.heldBytes);
    this.heldBytes -= doneBytes;
    this.#end.consumed(doneBytes);
  }

  /** Everything that tells this state from another. */
  get key(): string {
    if (this.isOver) return this.isComplete ? "c" : "o";
    const { ledger, here, heldBytes, isWaiting } = this;
    let leaves = "";
    for (let leaf = 0; leaf < ledger.leafTotal; leaf++) {
      leaves += ledger.safe.has(leaf)
        ? "s"
        : here.has(leaf)
          ? "h"
          : this.#damaged.has(leaf)
            ? "d"
            : "-";
    }
    const held = heldBytes / LEAF_BYTES;
    return `${leaves}${held}${isWaiting ? "w" : ""}${this.readsLeft}l${ledger.limit / LEAF_BYTES}`;
  }
}
