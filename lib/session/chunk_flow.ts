// This module runs in every runtime.
import { deferred } from "../deferred.ts";
import { CHUNK_FRONT_BYTES } from "../streams/frame_encoder_stream.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import { chunkHeadOf, writeChunkFront } from "../wire/chunk_head.ts";
import type { Flow, Outbox, Piece } from "./outbox.ts";

/** A chunk that is ready to go, or a frame that goes before one. */
type Queued =
  | { readonly frame: Uint8Array; readonly onWritten?: () => void }
  | {
      readonly chunk: TensorChunk;
      readonly codec: number;
      readonly flags: number;
      readonly onWritten?: () => void;
      /** Bytes that are taken already. */
      takenBytes: number;
    };

/** The encoded chunks of one transfer on their way into the outbox, a fragment at a time. */
export class ChunkFlow implements Flow {
  priority: number;
  servedBytes = 0;
  waitingSinceMs = 0;
  lane?: number;
  readonly #outbox: Outbox;
  readonly #stream: number;
  readonly #queue: Queued[] = [];
  #isOver = false;

  constructor(outbox: Outbox, stream: number, priority: number) {
    this.#outbox = outbox;
    this.#stream = stream;
    this.priority = priority;
  }

  /**
   * Queues frames and the chunks behind them.
   *
   * @returns once the link has every byte and the chunks' memory may be used again.
   */
  send(
    frames: readonly Uint8Array[],
    chunks: readonly { readonly chunk: TensorChunk; readonly codec: number }[],
    flags: number,
  ): Promise<void> {
    const written = deferred<void>();
    const left = frames.length + chunks.length;
    if (this.#isOver || left === 0) return Promise.resolve();
    const last = { onWritten: written.resolve };
    for (const [n, frame] of frames.entries()) {
      this.#queue.push({ frame, ...(n === left - 1 && last) });
    }
    for (const [n, { chunk, codec }] of chunks.entries()) {
      const isLast = n === chunks.length - 1;
      this.#queue.push({ chunk, codec, flags, takenBytes: 0, ...(isLast && last) });
    }
    this.#outbox.enter(this);
    return written.promise;
  }

  take(mostBytes: number): Piece | undefined {
    const next = this.#queue[0];
    if (!next) return undefined;
    if ("frame" in next) {
      this.#queue.shift();
      return { front: next.frame, ...(next.onWritten && { onWritten: next.onWritten }) };
    }
    const { chunk, codec, flags, takenBytes } = next;
    const data = chunk.bytes.subarray(takenBytes, takenBytes + mostBytes);
    const front = new Uint8Array(CHUNK_FRONT_BYTES);
    const head = chunkHeadOf(chunk, codec, takenBytes);
    writeChunkFront(front, this.#stream, head, data.byteLength, flags);
    next.takenBytes += data.byteLength;
    if (next.takenBytes < chunk.bytes.byteLength) return { front, data };
    this.#queue.shift();
    return { front, data, ...(next.onWritten && { onWritten: next.onWritten }) };
  }

  /**
   * Lets go of what has not been taken.
   *
   * @returns the bytes before compression of chunks of which nothing was sent, and that would have
   *   used credit.
   */
  stop(): number {
    this.#isOver = true;
    this.#outbox.leave(this);
    let unsentBytes = 0;
    for (const queued of this.#queue) {
      if ("chunk" in queued && queued.takenBytes === 0 && queued.flags === 0) {
        unsentBytes += queued.chunk.rawBytes;
      }
      queued.onWritten?.();
    }
    this.#queue.length = 0;
    return unsentBytes;
  }
}
