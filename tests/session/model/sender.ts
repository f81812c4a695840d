import { type GiveBack, NO_PLACE } from "../../../lib/session/read_ahead.ts";
import { type Claim, createClaim } from "../../../lib/session/scheduler.ts";
import { chunkEnd } from "../../../lib/tensor/chunk.ts";
import { LEAF_BYTES } from "../../../lib/tensor/leaf.ts";
import type { End } from "./end.ts";
import type { TransferPlan } from "./plan.ts";

/** A chunk that goes out next. */
export interface ModelChunk {
  readonly byteOffset: number;
  readonly rawBytes: number;
  readonly isAgain: boolean;
}

interface Segment {
  readonly chunks: ModelChunk[];
  readonly giveBack: GiveBack;
}

/** What the sending end of a transfer does for flow control: `Sending` and its `ChunkFlow`. */
export class ModelSender {
  readonly stream: number;
  readonly plan: TransferPlan;
  readonly claim: Claim;
  readonly #end: End;
  readonly #chunkBytes: number;
  #at = 0;
  #limit = 0;
  /** Leaves that were asked for again. */
  readonly #again: number[] = [];
  /** The segment that waits for a place. */
  #wanted: { readonly at: number; readonly end: number; readonly isAgain: boolean } | undefined;
  readonly #ready: Segment[] = [];
  isPaused = false;
  isOver = false;

  constructor(end: End, stream: number, plan: TransferPlan) {
    this.#end = end;
    this.stream = stream;
    this.plan = plan;
    this.claim = createClaim(plan.priority ?? 50);
    this.#chunkBytes = plan.chunkLeaves * LEAF_BYTES;
  }

  /** The chunk that goes out next. */
  get next(): ModelChunk | undefined {
    return this.#ready[0]?.chunks[0];
  }

  /** Credit that was taken for what has not gone out. */
  get takenBytes(): number {
    let bytes = 0;
    for (const { chunks } of this.#ready) bytes += creditOf(chunks);
    return bytes;
  }

  raise(limit: number): void {
    this.#limit = Math.max(this.#limit, limit);
    this.pump();
  }

  refetch(leaves: readonly number[]): void {
    this.#again.push(...leaves);
    // The place that is waited for may depend on credit that these leaves hold.
    this.#end.readAhead.leave(this.claim);
    this.pump();
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    this.pump();
  }

  /** The next chunk goes out. */
  sent(): ModelChunk {
    const segment = this.#ready[0];
    const chunk = segment?.chunks.shift();
    if (!segment || !chunk) throw new Error("Nothing is ready");
    if (segment.chunks.length === 0) {
      this.#ready.shift();
      segment.giveBack();
    }
    return chunk;
  }

  /** The transfer is over at this end. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const { chunks, giveBack } of this.#ready.splice(0)) giveBack(creditOf(chunks));
    this.#end.readAhead.leave(this.claim);
  }

  /** Asks for a place for what is to be sent next, if there is something. */
  pump(): void {
    if (this.isOver || this.#wanted) return;
    const wanted = this.#nextSegment();
    if (!wanted) return;
    this.#wanted = wanted;
    const { at, end, isAgain } = wanted;
    const bytes = end - at;
    const placed = this.#end.readAhead.take(this.claim, bytes, isAgain ? 0 : bytes);
    placed.then((giveBack) => this.#placed(giveBack));
  }

  #nextSegment(): { at: number; end: number; isAgain: boolean } | undefined {
    const { leaves } = this.plan;
    const at = this.#at;
    const end = Math.min(chunkEnd(at, Math.max(this.#chunkBytes, LEAF_BYTES)), leaves * LEAF_BYTES);
    const leaf = this.#again[0];
    if (leaf !== undefined) {
      return { at: leaf * LEAF_BYTES, end: (leaf + 1) * LEAF_BYTES, isAgain: true };
    }
    const mayGoOn = at < end && end <= this.#limit && !this.isPaused;
    return mayGoOn ? { at, end, isAgain: false } : undefined;
  }

  #placed(giveBack: GiveBack): void {
    this.#end.moved();
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (!wanted || this.isOver) {
      giveBack(wanted && !wanted.isAgain ? wanted.end - wanted.at : 0);
      return;
    }
    if (giveBack === NO_PLACE) {
      this.pump();
      return;
    }
    const { at, end, isAgain } = wanted;
    if (isAgain) this.#again.shift();
    else this.#at = end;
    const chunks: ModelChunk[] = [];
    for (let from = at; from < end; ) {
      const to = Math.min(chunkEnd(from, this.#chunkBytes), end);
      chunks.push({ byteOffset: from, rawBytes: to - from, isAgain });
      from = to;
    }
    this.#ready.push({ chunks, giveBack });
    this.pump();
  }

  /** Everything that tells this state from another. */
  get key(): string {
    if (this.isOver) return "o";
    const wanted =
      this.#wanted && `${this.#wanted.isAgain ? "a" : "n"}${this.#wanted.at / LEAF_BYTES}`;
    const ready = this.#ready
      .flatMap(({ chunks }) => chunks)
      .map(({ byteOffset, isAgain }) => `${isAgain ? "a" : "n"}${byteOffset / LEAF_BYTES}`);
    const at = this.#at / LEAF_BYTES;
    return `${at}l${this.#limit / LEAF_BYTES}${this.isPaused ? "p" : ""}[${this.#again}]${wanted}[${ready}]`;
  }
}

function creditOf(chunks: readonly ModelChunk[]): number {
  return chunks.reduce((sum, { rawBytes, isAgain }) => sum + (isAgain ? 0 : rawBytes), 0);
}
