// This module runs in every runtime.
import { NotFoundError } from "../errors.ts";
import type { Transfer } from "../session/transfer.ts";
import { ChunkCutter } from "../streams/chunk_cutter.ts";
import { chunkCount } from "./chunk_count.ts";
import type { WaitingTensor } from "./incoming.ts";
import type { TensorFlow } from "./tensor_flow.ts";

/** Streams that are over and still known. */
const MOST_OVER = 1000;

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

/** What is behind a stream's id, over all transfers that it takes. */
export interface ProtocolStream {
  readonly id: string;
  transfer: Transfer;
  readonly flow?: TensorFlow;
  readonly waiting?: WaitingTensor;
  /** Begins the transfer again, after it has failed. */
  again?: () => void;
  /** Chunks that were given. */
  given: number;
}

/** The streams of a protocol by their ids. */
export class StreamTable {
  readonly #streams = new Map<string, ProtocolStream>();

  /** All of them, in the order in which they began. */
  get all(): readonly ProtocolStream[] {
    return [...this.#streams.values()];
  }

  /** @throws {NotFoundError} for an id that is not known. */
  get(id: string): ProtocolStream {
    const stream = this.#streams.get(id);
    if (!stream) throw new NotFoundError(`There is no transfer ${id}`);
    return stream;
  }

  add(parts: Pick<ProtocolStream, "transfer" | "flow" | "waiting">): ProtocolStream {
    const stream: ProtocolStream = { ...parts, id: parts.transfer.id, given: 0 };
    this.#streams.set(stream.id, stream);
    if (this.#streams.size > MOST_OVER) this.#forget();
    return stream;
  }

  /** Lets go of the oldest that are over and that nobody can read. */
  #forget(): void {
    for (const [id, { transfer, waiting }] of this.#streams) {
      if (this.#streams.size <= MOST_OVER) return;
      if (transfer.isOver && (!waiting || waiting.isTaken)) this.#streams.delete(id);
    }
  }
}

/** The chunks of a stream that were not given yet. */
export async function* chunksOf(
  stream: ProtocolStream,
  chunkBytes: number,
): AsyncGenerator<StreamedChunk, void, undefined> {
  const { id: streamID, flow, waiting } = stream;
  const chunkOf = (byteOffset: number, data: Uint8Array): StreamedChunk => {
    const { byteLength = 0 } = stream.transfer.descriptor ?? {};
    const totalChunks = chunkCount(byteLength, chunkBytes);
    return { streamID, chunkNumber: stream.given++, totalChunks, byteOffset, data };
  };
  if (waiting) {
    const cutter = new ChunkCutter({ chunkBytes });
    for (const { byteOffset, bytes } of cutter.push(waiting.take()))
      yield chunkOf(byteOffset, bytes);
    const last = cutter.finish();
    if (last) yield chunkOf(last.byteOffset, last.bytes);
    return;
  }
  if (!flow) throw new NotFoundError(`Nothing of ${streamID} is read: it is sent, or prefetched`);
  let isLeft = true;
  try {
    for (let chunk = await flow.next(); chunk; chunk = await flow.next()) {
      yield chunkOf(chunk.byteOffset, chunk.bytes);
    }
    isLeft = false;
  } catch (error) {
    isLeft = false;
    throw error;
  } finally {
    if (isLeft) flow.cancel(new DOMException("The reader wants no more", "AbortError"));
  }
}
