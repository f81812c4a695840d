// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import type { Connect } from "../connection.ts";
import { deferred, News } from "../deferred.ts";
import { ConfigError, HeadraceError, IntegrityError, ProtocolError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../retry.ts";
import { LeafBitmap } from "../tensor/bitmap.ts";
import { LEAF_BYTES, leafCount } from "../tensor/leaf.ts";
import { decodeChecked, decodeMessage, encodeChecked, encodeMessage } from "../wire/control.ts";
import { errorOf } from "../wire/fault.ts";
import {
  FLAG_AGAIN,
  FLAG_LAST,
  FLAG_QUERY,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameName,
  readFrameHeader,
  writeFrameHeader,
} from "../wire/frame_header.ts";
import type { Complete, Offer } from "../wire/messages.ts";
import {
  decodeBitmapPage,
  decodeNumber,
  decodeRanges,
  encodeDigestPage,
  leavesOf,
} from "../wire/pages.ts";
import { acceptShape, receiptShape } from "../wire/request_shapes.ts";
import { completeShape, faultShape, offerShape } from "../wire/transfer_shapes.ts";
import { Dialler } from "./dialler.ts";
import { FrameLink, type LinkHandler } from "./frame_link.ts";
import { pipesHearErrors } from "./pipes_hear_errors.ts";
import { isSafe, ReplayBuffer } from "./replay_buffer.ts";
import { type ReplayEntry, replayEntryOf } from "./replay_entry.ts";

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
/** The dialler's first stream. */
const STREAM = 1;

/**
 * Writes the frames of one transfer, as a FrameEncoderStream makes them, to a peer that accepts
 * pushes, whatever becomes of the connection: after a cut it dials again, offers again, skips what
 * the receiver has and replays the rest from a bounded buffer, which only acknowledgements trim.
 *
 * Closing the stream waits for the receiver's word that it has verified everything. The stream
 * errors with a `RetryExhaustedError` when the policy allows no further attempt, with an
 * {@linkcode IntegrityError} when the receiver lost what it had acknowledged, with a
 * {@linkcode ConfigError} for chunks compressed by what the receiver cannot undo, with the receiver's
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

class RetryingSink implements UnderlyingSink<Uint8Array>, LinkHandler {
  readonly #dialler: Dialler<FrameLink>;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #options: RetryingWriterOptions;
  readonly #buffer = new ReplayBuffer();
  readonly #received = deferred<void>();
  #link: FrameLink | undefined;
  #offer: Offer | undefined;
  #complete: Complete | undefined;
  /** The compressions that were offered over the connection at hand. */
  #codecs: readonly string[] = [];
  /** Chunks sent over the connection at hand. */
  #chunksSent = 0;
  #epoch = 0;
  #isAccepted = false;
  #isCompleteSent = false;
  #limit = 0;
  #maxBufferedBytes: number;
  /** What the other end says is safe there. */
  #safe = new LeafBitmap(0);
  /** What the other end says it has, while it says so after a new offer. */
  #have = new LeafBitmap(0);
  /** Wakes whoever waits for credit, room or a link. */
  readonly #news = new News();
  #isReceived = false;
  #failure: { readonly error: unknown } | undefined;
  #controller: WritableStreamDefaultController | undefined;
  /** Whether a write or the close is under way: that tells of a failure by itself. */
  #isBusy = false;
  readonly #onAbort = (): void => this.#fail(this.#options.signal?.reason);

  constructor(connect: Connect, policy: RetryPolicy, options: RetryingWriterOptions) {
    const clock = options.clock ?? systemClock;
    this.#clock = clock;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    const { maxBufferedBytes = DEFAULT_BUFFERED_BYTES } = options;
    this.#maxBufferedBytes = Math.max(maxBufferedBytes, LEAST_BUFFERED_BYTES);
    this.#dialler = new Dialler({
      open: async (signal) => this.#greet(await connect(signal), clock, signal),
      ended: (link) => link.closed,
      discard: (link, reason) => link.close(reason),
      policy: () => policy,
      clock,
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
    if (header.type === FRAME.offer && !this.#offer) {
      this.#offer = decodeMessage(offerShape, header, payload);
      this.#safe = new LeafBitmap(leafCount(this.#offer.descriptor.byteLength));
      void this.#keepLinked();
    } else if (!this.#offer || this.#complete) {
      throw new TypeError(`A ${frameName(header.type)} frame cannot come here in a transfer`);
    } else if (header.type === FRAME.complete) {
      this.#complete = decodeMessage(completeShape, header, payload);
    } else {
      const { byteLength } = this.#offer.descriptor;
      this.#keep(replayEntryOf(frame, header, byteLength, this.#limits));
    }
    this.#news.tell();
    // What is asked for again must not wait behind half a chunk, so a chunk is taken in whole.
    const isFull = () => this.#buffer.bytes > this.#maxBufferedBytes && this.#buffer.endsChunk;
    while (isFull() && !this.#failure) await this.#news.wait();
    this.#throwIfFailed();
  }

  async close(): Promise<void> {
    this.#isBusy = true;
    if (!this.#complete) {
      this.#fail(new TypeError("The transfer ended before its complete frame"));
    }
    await this.#received.promise;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const link = this.#link;
    this.#dialler.close(undefined);
    await link?.goodbye();
  }

  abort(reason: unknown): void {
    this.#fail(reason);
  }

  /** Keeps a frame, unless the receiver held all of it from earlier: it would not be taken twice. */
  #keep(entry: ReplayEntry): void {
    this.#maxBufferedBytes = Math.max(this.#maxBufferedBytes, 2 * entry.chunkBytes);
    if (!isSafe(entry, this.#safe)) this.#buffer.push(entry);
  }

  /** Dials, sends over the link until it is lost, and begins again, until the receipt is here. */
  async #keepLinked(): Promise<void> {
    try {
      while (!this.#failure && !this.#isReceived) {
        await this.#dialler.link();
        await this.#send().catch((error) => {
          if (!(error instanceof HeadraceError && error.retryable)) throw error;
        });
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #send(): Promise<void> {
    const link = this.#link as FrameLink;
    let isLost = false;
    const lost = () => {
      isLost = true;
      this.#news.tell();
    };
    link.closed.then(lost, lost);
    while (!isLost && !this.#isReceived && !this.#failure) {
      if (!this.#hasRoom(link)) {
        await Promise.race([this.#news.wait(), link.first.room.wait()]);
        continue;
      }
      // What is taken here must be sent: it is not asked for twice.
      const again = this.#isAccepted ? this.#buffer.takeAgain() : [];
      const next = this.#buffer.next;
      if (again.length > 0) {
        for (const entry of again) await this.#writeAgain(link, entry);
      } else if (this.#isAccepted && next && this.#mayGo(link, next)) {
        this.#checkCodec(next);
        this.#buffer.advance();
        if (next.endsChunk && next.endOffset > 0) this.#chunksSent++;
        await link.write(next.frame);
      } else if (this.#isAccepted && !next && this.#complete && !this.#isCompleteSent) {
        this.#isCompleteSent = true;
        // What was not sent over this connection is not waited for at the other end.
        const complete = { ...this.#complete, chunks: this.#chunksSent };
        await link.write(encodeMessage("complete", STREAM, complete));
      } else {
        await Promise.race([this.#news.wait(), link.first.room.wait()]);
      }
    }
    if (isLost && !this.#isReceived) await link.closed;
  }

  /** What the peer cannot undo is not offered; a chunk that needs it is an error when it comes. */
  async #offerTo(link: FrameLink): Promise<Offer> {
    const offer = this.#offer as Offer;
    const { codecs } = await link.remoteHello;
    const unknown = offer.codecs.findIndex((name) => !codecs.includes(name));
    this.#codecs = unknown < 0 ? offer.codecs : offer.codecs.slice(0, unknown);
    return { ...offer, codecs: this.#codecs, epoch: this.#epoch++ };
  }

  /** @throws {ConfigError} for a chunk that the peer cannot decompress. */
  #checkCodec({ codec }: ReplayEntry): void {
    if (codec <= this.#codecs.length) return;
    const name = this.#offer?.codecs[codec - 1];
    throw new ConfigError(
      `The peer cannot undo the compression ${name}: leave CompressorStream out, or switch it on there`,
    );
  }

  /** Whether the link may have more under way. */
  #hasRoom(link: FrameLink): boolean {
    const nowMs = this.#clock.now();
    if (link.flight.isProbeDue(nowMs)) link.first.probe();
    return link.flight.hasRoom(nowMs);
  }

  #mayGo(link: FrameLink, { endOffset, creditBytes }: ReplayEntry): boolean {
    return endOffset <= this.#limit && link.credit.take(creditBytes);
  }

  /** A frame that was asked for again has had its credit, and says so. */
  async #writeAgain(link: FrameLink, { frame, endOffset, endsChunk }: ReplayEntry): Promise<void> {
    if (endOffset === 0) return link.write(frame);
    const front = new Uint8Array(FRAME_HEADER_BYTES);
    const header = readFrameHeader(frame, this.#limits);
    writeFrameHeader(front, { ...header, flags: header.flags | FLAG_AGAIN });
    if (endsChunk) this.#chunksSent++;
    await link.write(front, frame.subarray(FRAME_HEADER_BYTES));
  }

  async #greet(
    connection: Awaited<ReturnType<Connect>>,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<FrameLink> {
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
    const limits = this.#limits;
    const link = await FrameLink.open(connection, {
      hello,
      accepted: false,
      handler: this,
      limits,
      clock,
      signal,
    });
    this.#link = link;
    this.#isAccepted = false;
    this.#isCompleteSent = false;
    this.#chunksSent = 0;
    this.#limit = 0;
    this.#have = new LeafBitmap(this.#safe.leafTotal);
    this.#buffer.rewind();
    const offer = await this.#offerTo(link);
    link.send(encodeMessage("offer", STREAM, offer));
    return link;
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    if (header.stream !== STREAM) return;
    switch (header.type) {
      case FRAME.have:
        this.#heardHave(header, decodeChecked(header, payload));
        break;
      case FRAME.accept:
        this.#heardAccept(decodeMessage(acceptShape, header, payload).limit);
        break;
      case FRAME.credit:
        this.#limit = Math.max(this.#limit, decodeNumber(decodeChecked(header, payload)));
        break;
      case FRAME.ack:
        for (const { first, count } of this.#ranges(header, payload)) {
          for (let leaf = first; leaf < first + count; leaf++) this.#safe.set(leaf);
        }
        this.#buffer.trim(this.#safe);
        this.#dialler.progressed();
        break;
      case FRAME.refetch:
        this.#heardRefetch(this.#ranges(header, payload));
        break;
      case FRAME.receipt:
        if (!this.#isCompleteSent || !decodeMessage(receiptShape, header, payload).complete) {
          throw new ProtocolError("The peer took a transfer for complete that is not");
        }
        this.#isReceived = true;
        this.#received.resolve();
        break;
      case FRAME.error:
      case FRAME.cancel: {
        const error = errorOf(decodeMessage(faultShape, header, payload));
        if (error.retryable) this.#link?.close(error);
        else this.#fail(error);
        break;
      }
      default:
        throw new ProtocolError(`A sender cannot take a ${frameName(header.type)} frame`);
    }
    this.#news.tell();
  }

  chunk(): void {
    throw new ProtocolError("The peer sent a chunk that nobody asked for");
  }

  chunkData(): void {}

  #ranges(header: FrameHeader, payload: Uint8Array) {
    return decodeRanges(decodeChecked(header, payload), this.#safe.leafTotal);
  }

  #heardHave(header: FrameHeader, body: Uint8Array): void {
    const page = decodeBitmapPage(body);
    if ((header.flags & FLAG_QUERY) === 0) {
      for (const leaf of leavesOf(page, this.#safe.leafTotal)) this.#have.set(leaf);
      return;
    }
    if ((header.flags & FLAG_LAST) === 0) return;
    // What went by is not kept, so nothing the receiver has can be vouched for.
    const none = encodeDigestPage({ firstLeaf: 0, digests: [] });
    this.#link?.send(encodeChecked(FRAME.digests, STREAM, none, FLAG_LAST | FLAG_QUERY));
  }

  #heardAccept(limit: number): void {
    for (let leaf = 0; leaf < this.#safe.leafTotal; leaf++) {
      if (!this.#safe.has(leaf) || this.#have.has(leaf)) continue;
      const message = `leaf ${leaf} was acknowledged, and cannot be read again`;
      const fault = { code: "source_not_rewindable", retryable: false, message };
      this.#link?.send(encodeMessage("error", STREAM, fault));
      this.#fail(
        new IntegrityError(
          "transit",
          `The receiver lost leaf ${leaf}, which it had acknowledged, and the source cannot be rewound`,
          { retryable: false, byteOffset: leaf * LEAF_BYTES },
        ),
      );
      return;
    }
    this.#safe = this.#have;
    this.#buffer.trim(this.#safe);
    this.#limit = limit;
    this.#isAccepted = true;
  }

  #heardRefetch(ranges: ReturnType<typeof decodeRanges>): void {
    for (const { first, count } of ranges) {
      for (let leaf = first; leaf < first + count; leaf++) {
        this.#buffer.ask(leaf);
      }
    }
    this.#isCompleteSent = false;
  }

  #fail(error: unknown): void {
    if (this.#failure || this.#isReceived) return;
    this.#failure = { error };
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#received.reject(error);
    if (!this.#isBusy) void this.#failIdle(error);
    this.#link?.close(error);
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
