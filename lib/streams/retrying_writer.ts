// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import type { Connect, Connection } from "../connection.ts";
import { deferred, News } from "../deferred.ts";
import { HeadraceError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../retry.ts";
import { LeafBitmap } from "../tensor/bitmap.ts";
import { leafCount } from "../tensor/leaf.ts";
import { decodeMessage } from "../wire/control.ts";
import {
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameName,
  readFrameHeader,
} from "../wire/frame_header.ts";
import { completeShape, offerShape } from "../wire/transfer_shapes.ts";
import { Dialler } from "./dialler.ts";
import { FrameLink } from "./frame_link.ts";
import { pipesHearErrors } from "./pipes_hear_errors.ts";
import { ReplayAttempt, type ReplayedTransfer } from "./replay_attempt.ts";
import { isSafe, ReplayBuffer } from "./replay_buffer.ts";
import { replayEntryOf } from "./replay_entry.ts";

/** Options of {@linkcode retryingWriter} beside the policy. */
export interface RetryingWriterOptions {
  /**
   * Frames kept for a replay; a full buffer makes the writer wait. Default 16 MiB; never less than
   * 4 MiB or two chunks, so that it holds what a receiver may leave unacknowledged.
   */
  readonly maxBufferedBytes?: number;
  /** Said to the other end. */
  readonly token?: string;
  /** Gives up, with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly limits?: Partial<Limits>;
  readonly clock?: Clock;
  /** 0 to 1, for jitter. */
  readonly random?: () => number;
}

const DEFAULT_BUFFERED_BYTES = 16 * 1024 * 1024;
const LEAST_BUFFERED_BYTES = 4 * 1024 * 1024;

/**
 * Writes the frames of one transfer, as a FrameEncoderStream makes them, to a peer that accepts
 * pushes, whatever becomes of the connection: after a cut it dials again, offers again, skips what
 * the receiver has and replays the rest from a bounded buffer, which only acknowledgements trim.
 *
 * Closing the stream waits for the receiver's word that it has verified everything. The stream
 * errors with a `RetryExhaustedError` when the policy allows no further attempt, with an
 * `IntegrityError` when the receiver lost what it had acknowledged, with a
 * `ConfigError` for chunks compressed by what the receiver cannot undo, with the receiver's
 * own error when that is final, and with a `TypeError` for anything but whole frames of a transfer.
 *
 * @example
 * ```ts
 * import {
 *   ChecksumStream,
 *   ChunkerStream,
 *   type Connect,
 *   CompressorStream,
 *   createDescriptor,
 *   FrameEncoderStream,
 *   retryingWriter,
 * } from "headrace";
 *
 * function push(bytes: ReadableStream<Uint8Array>, connect: Connect): Promise<void> {
 *   return bytes
 *     .pipeThrough(new ChunkerStream())
 *     .pipeThrough(new ChecksumStream())
 *     .pipeThrough(new CompressorStream())
 *     .pipeThrough(
 *       new FrameEncoderStream({
 *         address: { model: "m", partition: "default", tensor: "t" },
 *         descriptor: createDescriptor("F32", [1024]),
 *       }),
 *     )
 *     .pipeTo(retryingWriter(connect, { maxRetries: 5 }));
 * }
 * ```
 */
export function retryingWriter(
  connect: Connect,
  policy: Partial<RetryPolicy> = {},
  options: RetryingWriterOptions = {},
): WritableStream<Uint8Array> {
  const sink = new RetryingSink(connect, { ...DEFAULT_RETRY_POLICY, ...policy }, options);
  return new WritableStream(sink, { highWaterMark: 1 });
}

class RetryingSink implements UnderlyingSink<Uint8Array> {
  readonly #dialler: Dialler<ReplayAttempt>;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #options: RetryingWriterOptions;
  readonly #received = deferred<void>();
  /** What the attempts share; there is none before the first frame. */
  #transfer: ReplayedTransfer | undefined;
  #epoch = 0;
  #maxBufferedBytes: number;
  /** Wakes whoever waits for frames, credit, room or the end. */
  readonly #news = new News();
  #isReceived = false;
  #failure: { readonly error: unknown } | undefined;
  #controller: WritableStreamDefaultController | undefined;
  /** Whether a write or the close is under way: that tells of a failure by itself. */
  #isBusy = false;
  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason);

  constructor(connect: Connect, policy: RetryPolicy, options: RetryingWriterOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { maxBufferedBytes = DEFAULT_BUFFERED_BYTES } = options;
    this.#maxBufferedBytes = Math.max(maxBufferedBytes, LEAST_BUFFERED_BYTES);
    this.#dialler = new Dialler({
      open: async (signal) => this.#greet(await connect(signal), signal),
      ended: ({ link }) => link.closed,
      discard: ({ link }, reason) => link.close(reason),
      policy: () => policy,
      clock: this.#clock,
      random: options.random ?? Math.random,
    });
  }

  start(controller: WritableStreamDefaultController): void {
    this.#controller = controller;
    const { signal } = this.#options;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
  }

  /** A sink that fails by itself is not aborted by its stream: what is open must be let go here. */
  async write(frame: Uint8Array): Promise<void> {
    this.#isBusy = true;
    try {
      await this.#write(frame);
    } catch (error) {
      this.#fail(error);
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }

  async #write(frame: Uint8Array): Promise<void> {
    this.#throwIfFailed();
    const header = readFrameHeader(frame, this.#limits);
    if (frame.byteLength !== FRAME_HEADER_BYTES + header.payloadBytes) {
      throw new TypeError("retryingWriter takes whole frames, one at a time");
    }
    const payload = frame.subarray(FRAME_HEADER_BYTES);
    if (header.type === FRAME.offer && !this.#transfer) {
      this.#transfer = this.#begin(header, payload);
      void this.#keepLinked();
    } else if (!this.#transfer || this.#transfer.complete) {
      throw new TypeError(`A ${frameName(header.type)} frame cannot come here in a transfer`);
    } else if (header.type === FRAME.complete) {
      this.#transfer.complete = decodeMessage(completeShape, header, payload);
    } else {
      this.#keep(frame, header, this.#transfer);
    }
    this.#news.tell();
    // What is asked for again must not wait behind half a chunk, so a chunk is taken in whole.
    const { buffer } = this.#transfer;
    const isFull = () => buffer.bytes > this.#maxBufferedBytes && buffer.endsChunk;
    while (isFull() && !this.#failure) await this.#news.wait();
    this.#throwIfFailed();
  }

  async close(): Promise<void> {
    this.#isBusy = true;
    if (!this.#transfer?.complete) {
      this.#fail(new TypeError("The transfer ended before its complete frame"));
    }
    await this.#received.promise;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const attempt = this.#dialler.current;
    this.#dialler.close(undefined);
    await attempt?.link.goodbye();
  }

  abort(reason: unknown): void {
    this.#fail(reason);
  }

  #begin(header: FrameHeader, payload: Uint8Array): ReplayedTransfer {
    const offer = decodeMessage(offerShape, header, payload);
    return {
      offer,
      buffer: new ReplayBuffer(),
      limits: this.#limits,
      clock: this.#clock,
      news: this.#news,
      safe: new LeafBitmap(leafCount(offer.descriptor.byteLength)),
      complete: undefined,
      isOver: () => this.#isReceived || this.#failure !== undefined,
      onProgress: () => this.#dialler.progressed(),
      onReceived: () => {
        this.#isReceived = true;
        this.#received.resolve();
      },
      onFault: (error) => this.#fail(error),
    };
  }

  /** Keeps a frame, unless the receiver held all of it from earlier: it would not be taken twice. */
  #keep(frame: Uint8Array, header: FrameHeader, { offer, buffer, safe }: ReplayedTransfer): void {
    const entry = replayEntryOf(frame, header, offer.descriptor.byteLength, this.#limits);
    this.#maxBufferedBytes = Math.max(this.#maxBufferedBytes, 2 * entry.chunkBytes);
    if (!isSafe(entry, safe)) buffer.push(entry);
  }

  /** Dials, sends over the link until it is lost, and begins again, until the receipt is here. */
  async #keepLinked(): Promise<void> {
    try {
      while (!this.#failure && !this.#isReceived) {
        const attempt = await this.#dialler.link();
        await attempt.send().catch((error) => {
          if (!(error instanceof HeadraceError && error.retryable)) throw error;
        });
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #greet(connection: Connection, signal: AbortSignal): Promise<ReplayAttempt> {
    const attempt = new ReplayAttempt(this.#transfer as ReplayedTransfer, this.#epoch++);
    const hello = {
      instance: crypto.getRandomValues(new Uint8Array(16)),
      node: "headrace",
      role: "mixed",
      codecs: [],
      features: [],
      maxChunkBytes: this.#limits.maxChunkBytes,
      // Nothing is taken here.
      connectionCredit: 0,
      maxTransfers: 0,
      maxRequests: 0,
      ...(this.#options.token !== undefined && { token: this.#options.token }),
    };
    await FrameLink.open(connection, {
      hello,
      accepted: false,
      handler: attempt,
      limits: this.#limits,
      clock: this.#clock,
      signal,
    });
    await attempt.offer();
    return attempt;
  }

  #fail(error: unknown): void {
    if (this.#failure || this.#isReceived) return;
    this.#failure = { error };
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#received.reject(error);
    if (!this.#isBusy) void this.#failIdle(error);
    this.#dialler.current?.link.close(error);
    this.#dialler.close(error);
    this.#news.tell();
  }

  /** Where pipes do not hear it, the next write or the close tells. */
  async #failIdle(error: unknown): Promise<void> {
    if (await pipesHearErrors()) this.#controller?.error(error);
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
