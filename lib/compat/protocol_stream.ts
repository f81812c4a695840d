// This module runs in every runtime.
import { NotFoundError } from "../errors.ts";
import type { Transfer } from "../session/transfer.ts";
import { ChunkCutter } from "../streams/chunk_cutter.ts";
import { chunkCount } from "./chunk_count.ts";
import type { WaitingTensor } from "./incoming.ts";
import type { TensorFlow } from "./tensor_flow.ts";
import { stateOf, type TransferState } from "./transfer_state.ts";

/** A chunk as `receiveChunks` gives it. */
export interface StreamedChunk {
  readonly streamID: string;
  /** From 0. */
  readonly chunkNumber: number;
  readonly totalChunks: number;
  /** Where it begins in the tensor. */
  readonly byteOffset: number;
  readonly data: Uint8Array;
}

/** What a {@linkcode ProtocolStream} is made of. */
export interface StreamParts {
  readonly chunkBytes: number;
  /** What comes in, as fast as it is read. */
  readonly flow?: TensorFlow;
  /** What came in, all of it in memory. */
  readonly waiting?: WaitingTensor;
  /** Begins the transfer again, after it has failed. */
  readonly again?: () => Transfer;
}

/**
 * What is behind a stream's id, over all transfers that it takes. Of one that is complete only the
 * state is kept: its transfer, and what could begin it again, may hold the tensor.
 */
export class ProtocolStream {
  readonly id: string;
  readonly #parts: StreamParts;
  #transfer: Transfer | undefined;
  #again: (() => Transfer) | undefined;
  #final: TransferState | undefined;
  #given = 0;

  constructor(transfer: Transfer, parts: StreamParts) {
    const { again, ...rest } = parts;
    this.id = transfer.id;
    this.#parts = rest;
    this.#again = again;
    this.#follow(transfer);
  }

  /** The transfer; `undefined` once it is complete. */
  get transfer(): Transfer | undefined {
    return this.#transfer;
  }

  /** Where it stands. */
  get state(): TransferState {
    return this.#final ?? stateOf(this.id, this.#transfer as Transfer, this.#parts.chunkBytes);
  }

  /** Whether it is over and nothing of it can be read. */
  get isSpent(): boolean {
    const { waiting } = this.#parts;
    return (this.#transfer?.isOver ?? true) && (waiting?.isTaken ?? true);
  }

  /**
   * Goes on after a pause or a failure.
   *
   * @returns `false` when there is nothing to go on with.
   */
  resume(): boolean {
    const transfer = this.#transfer;
    if (!transfer || transfer.status === "complete") return false;
    if (!transfer.isOver) transfer.resume();
    else if (this.#again) this.#follow(this.#again());
    else return false;
    return true;
  }

  /** Ends it at both ends. */
  cancel(reason: unknown): void {
    this.#transfer?.cancel(reason);
  }

  /** The chunks that were not given yet. */
  async *chunks(): AsyncGenerator<StreamedChunk, void, undefined> {
    const { flow, waiting } = this.#parts;
    if (waiting) {
      yield* this.#cut(waiting.take());
      return;
    }
    if (!flow) throw new NotFoundError(`Nothing of ${this.id} is read: it is sent, or prefetched`);
    let isLeft = true;
    try {
      for (let chunk = await flow.next(); chunk; chunk = await flow.next()) {
        yield this.#give(chunk.byteOffset, chunk.bytes);
      }
      isLeft = false;
    } catch (error) {
      isLeft = false;
      throw error;
    } finally {
      if (isLeft) flow.cancel(new DOMException("The reader wants no more", "AbortError"));
    }
  }

  #follow(transfer: Transfer): void {
    this.#transfer = transfer;
    const complete = () => {
      this.#final = this.state;
      this.#transfer = undefined;
      this.#again = undefined;
    };
    transfer.done.then(complete, () => {});
  }

  *#cut(bytes: Uint8Array): Generator<StreamedChunk> {
    const cutter = new ChunkCutter({ chunkBytes: this.#parts.chunkBytes });
    for (const chunk of cutter.push(bytes)) yield this.#give(chunk.byteOffset, chunk.bytes);
    const last = cutter.finish();
    if (last) yield this.#give(last.byteOffset, last.bytes);
  }

  #give(byteOffset: number, data: Uint8Array): StreamedChunk {
    const totalChunks = chunkCount(this.state.totalSize, this.#parts.chunkBytes);
    return { streamID: this.id, chunkNumber: this.#given++, totalChunks, byteOffset, data };
  }
}
