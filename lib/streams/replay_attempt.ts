// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { News } from "../deferred.ts";
import { ConfigError, IntegrityError, ProtocolError, RemoteError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { LeafBitmap } from "../tensor/bitmap.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
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
import { faultShape, pauseShape, reprioritiseShape } from "../wire/transfer_shapes.ts";
import type { FrameLink, LinkHandler } from "./frame_link.ts";
import type { ReplayBuffer } from "./replay_buffer.ts";
import type { ReplayEntry } from "./replay_entry.ts";

/** The dialler's first stream. */
const STREAM = 1;

/** What the attempts at one transfer share, over however many connections. */
export interface ReplayedTransfer {
  readonly offer: Offer;
  readonly buffer: ReplayBuffer;
  readonly limits: Limits;
  readonly clock: Clock;
  /** Wakes whoever waits for frames, credit, room or the end. */
  readonly news: News;
  /** What the other end says is safe there. */
  safe: LeafBitmap;
  /** The transfer's last frame, once it is here. */
  complete: Complete | undefined;
  /** Whether it was received or has failed. */
  isOver(): boolean;
  /** Told when something more is safe, when all is, and when nothing will be. */
  onProgress(): void;
  onReceived(): void;
  onFault(error: unknown): void;
}

/** One connection's attempt at a transfer: offers, skips what is there, sends the rest of what is kept. */
export class ReplayAttempt implements LinkHandler {
  readonly #transfer: ReplayedTransfer;
  readonly #epoch: number;
  #link: FrameLink | undefined;
  /** The compressions that were offered. */
  #codecs: readonly string[] = [];
  #chunksSent = 0;
  #isAccepted = false;
  #isCompleteSent = false;
  #isLost = false;
  /** Whether the other end wants no new chunk to begin. */
  #isPaused = false;
  #limit = 0;
  /** What the other end says it has. */
  readonly #have: LeafBitmap;

  /** @param epoch Higher than that of any attempt before it. */
  constructor(transfer: ReplayedTransfer, epoch: number) {
    this.#transfer = transfer;
    this.#epoch = epoch;
    this.#have = new LeafBitmap(transfer.safe.leafTotal);
  }

  attach(link: FrameLink): void {
    this.#link = link;
  }

  /** The connection, from the moment that the ends begin to greet each other. */
  get link(): FrameLink {
    return this.#link as FrameLink;
  }

  /** Offers the transfer. What the peer cannot undo is not offered; a chunk that needs it is an error when it comes. */
  async offer(): Promise<void> {
    const { offer, buffer } = this.#transfer;
    buffer.rewind();
    const { codecs } = await this.link.remoteHello;
    const unknown = offer.codecs.findIndex((name) => !codecs.includes(name));
    this.#codecs = unknown < 0 ? offer.codecs : offer.codecs.slice(0, unknown);
    const said = { ...offer, codecs: this.#codecs, epoch: this.#epoch };
    this.link.send(encodeMessage("offer", STREAM, said));
  }

  /**
   * Sends what is kept and what comes, until the transfer is over.
   *
   * @throws what the connection failed with.
   */
  async send(): Promise<void> {
    const { news } = this.#transfer;
    const { link } = this;
    const lost = () => {
      this.#isLost = true;
      news.tell();
    };
    link.closed.then(lost, lost);
    while (!this.#isLost && !this.#transfer.isOver()) {
      if (!this.#hasRoom()) await Promise.race([news.wait(), link.first.room.wait()]);
      else await this.#sendNext();
    }
    if (!this.#transfer.isOver()) await link.closed;
  }

  async #sendNext(): Promise<void> {
    const { buffer, complete, news } = this.#transfer;
    const { link } = this;
    // What is taken here must be sent: it is not asked for twice.
    const again = this.#isAccepted ? buffer.takeAgain() : [];
    const { next } = buffer;
    if (again.length > 0) {
      for (const entry of again) await this.#writeAgain(entry);
    } else if (this.#isAccepted && next && this.#mayGo(next)) {
      this.#checkCodec(next);
      buffer.advance();
      if (next.endsChunk && next.endOffset > 0) this.#chunksSent++;
      await link.write(next.frame);
    } else if (this.#isAccepted && !next && complete && !this.#isCompleteSent) {
      this.#isCompleteSent = true;
      // What was not sent over this connection is not waited for at the other end.
      const said = { ...complete, chunks: this.#chunksSent };
      await link.write(encodeMessage("complete", STREAM, said));
    } else {
      await Promise.race([news.wait(), link.first.room.wait()]);
    }
  }

  /** @throws {ConfigError} for a chunk that the peer cannot decompress. */
  #checkCodec({ codec }: ReplayEntry): void {
    if (codec <= this.#codecs.length) return;
    const name = this.#transfer.offer.codecs[codec - 1];
    throw new ConfigError(
      `The peer cannot undo the compression ${name}: leave CompressorStream out, or switch it on there`,
    );
  }

  /** Whether the link may have more under way. */
  #hasRoom(): boolean {
    const { first, flight } = this.link;
    const nowMs = this.#transfer.clock.now();
    if (flight.isProbeDue(nowMs)) first.probe();
    return flight.hasRoom(nowMs);
  }

  #mayGo({ endOffset, creditBytes }: ReplayEntry): boolean {
    if (this.#isPaused && !this.#transfer.buffer.isMidChunk) return false;
    return endOffset <= this.#limit && this.link.credit.take(creditBytes);
  }

  /** A frame that was asked for again has had its credit, and says so. */
  async #writeAgain({ frame, endOffset, endsChunk }: ReplayEntry): Promise<void> {
    if (endOffset === 0) return this.link.write(frame);
    const front = new Uint8Array(FRAME_HEADER_BYTES);
    const header = readFrameHeader(frame, this.#transfer.limits);
    writeFrameHeader(front, { ...header, flags: header.flags | FLAG_AGAIN });
    if (endsChunk) this.#chunksSent++;
    await this.link.write(front, frame.subarray(FRAME_HEADER_BYTES));
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    if (header.stream !== STREAM) return;
    const transfer = this.#transfer;
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
        for (const leaf of this.#leaves(header, payload)) transfer.safe.set(leaf);
        transfer.buffer.trim(transfer.safe);
        transfer.onProgress();
        break;
      case FRAME.refetch:
        for (const leaf of this.#leaves(header, payload)) transfer.buffer.ask(leaf);
        this.#isCompleteSent = false;
        break;
      case FRAME.reprioritise:
        // There is nothing on this connection that could go before it, or after.
        decodeMessage(reprioritiseShape, header, payload);
        break;
      case FRAME.pause:
        this.#isPaused = decodeMessage(pauseShape, header, payload).paused;
        break;
      case FRAME.receipt: {
        const isKept = decodeMessage(receiptShape, header, payload).complete;
        if (!this.#isCompleteSent) {
          throw new ProtocolError("The peer took a transfer for complete that is not");
        }
        if (isKept) transfer.onReceived();
        else transfer.onFault(new RemoteError("cancelled", "The peer did not keep the tensor"));
        break;
      }
      case FRAME.error:
      case FRAME.cancel: {
        const error = errorOf(decodeMessage(faultShape, header, payload));
        if (error.retryable) this.link.close(error);
        else transfer.onFault(error);
        break;
      }
      default:
        throw new ProtocolError(`A sender cannot take a ${frameName(header.type)} frame`);
    }
    transfer.news.tell();
  }

  chunk(): void {
    throw new ProtocolError("The peer sent a chunk that nobody asked for");
  }

  chunkData(): void {}

  /** The leaves that a page of ranges names. */
  *#leaves(header: FrameHeader, payload: Uint8Array): Generator<number> {
    const { leafTotal } = this.#transfer.safe;
    const ranges = decodeRanges(decodeChecked(header, payload), leafTotal);
    for (const { first, count } of ranges) {
      for (let leaf = first; leaf < first + count; leaf++) yield leaf;
    }
  }

  #heardHave(header: FrameHeader, body: Uint8Array): void {
    const page = decodeBitmapPage(body);
    if ((header.flags & FLAG_QUERY) === 0) {
      for (const leaf of leavesOf(page, this.#have.leafTotal)) this.#have.set(leaf);
      return;
    }
    if ((header.flags & FLAG_LAST) === 0) return;
    // What went by is not kept, so nothing the receiver has can be vouched for.
    const none = encodeDigestPage({ firstLeaf: 0, digests: [] });
    this.link.send(encodeChecked(FRAME.digests, STREAM, none, FLAG_LAST | FLAG_QUERY));
  }

  #heardAccept(limit: number): void {
    const transfer = this.#transfer;
    for (let leaf = 0; leaf < transfer.safe.leafTotal; leaf++) {
      if (!transfer.safe.has(leaf) || this.#have.has(leaf)) continue;
      this.#lostLeaf(leaf);
      return;
    }
    transfer.safe = this.#have;
    transfer.buffer.trim(transfer.safe);
    this.#limit = limit;
    this.#isAccepted = true;
  }

  /** The receiver acknowledged the leaf over an earlier connection, and it is not kept any more. */
  #lostLeaf(leaf: number): void {
    const message = `leaf ${leaf} was acknowledged, and cannot be read again`;
    const fault = { code: "source_not_rewindable", retryable: false, message };
    this.link.send(encodeMessage("error", STREAM, fault));
    this.#transfer.onFault(
      new IntegrityError(
        "transit",
        `The receiver lost leaf ${leaf}, which it had acknowledged, and the source cannot be rewound`,
        { retryable: false, byteOffset: leaf * LEAF_BYTES },
      ),
    );
  }
}
