// This module runs in every runtime.
import { deferred, News } from "../deferred.ts";
import { IntegrityError, LimitError, ProtocolError, RemoteError } from "../errors.ts";
import { CHUNK_FRONT_BYTES, codecNumber } from "../streams/frame_encoder_stream.ts";
import { formatAddress } from "../tensor/address.ts";
import { LeafBitmap, type LeafRange } from "../tensor/bitmap.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { MAX_CHUNK_BYTES } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount } from "../tensor/leaf.ts";
import { tensorRoot } from "../tensor/root.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import { decodeChecked, decodeMessage, encodeChecked, encodeMessage } from "../wire/control.ts";
import { FLAG_LAST, FLAG_QUERY, FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Offer } from "../wire/messages.ts";
import {
  decodeBitmapPage,
  decodeNumber,
  decodeRanges,
  encodeDigestPage,
  leavesOf,
} from "../wire/pages.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { ChunkWriter } from "./chunk_writer.ts";
import { LeafDigests } from "./leaf_digests.ts";
import { prepareSegment, type Segment, type SegmentOptions, segmentEnd } from "./segment.ts";
import type { SessionContext } from "./session_context.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** What a {@linkcode Sending} sends, and how. */
export interface SendingOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly source: TensorSource;
  /** The offer's own part; descriptor, version, codecs and chunk size are filled in. */
  readonly offer: Pick<Offer, "id" | "epoch" | "address" | "priority" | "digest">;
  readonly meter: TransferMeter;
  /** The stream that the other end's request began; left out, a new one is begun. */
  readonly stream?: number;
}

/** Digests that go into one page. */
const PAGE_DIGESTS = 1024;
/** How often a sender that reads without sending says so. */
const PHASE_INTERVAL_MS = 1000;

/** The sending end of one attempt at a transfer: offers, sends what is missing, proves the whole. */
export class Sending implements StreamParty {
  readonly #done = deferred<void>();
  readonly #options: SendingOptions;
  /** Given when the offer goes out, as streams begin in the order of their numbers; 0 until then. */
  #stream: number;
  readonly #leafTotal: number;
  readonly #accepted = deferred<void>();
  readonly #have: LeafBitmap;
  readonly #refetches: LeafRange[] = [];
  #queried: LeafBitmap;
  #digests: LeafDigests | undefined;
  /** The source's version when it was offered. */
  #version: SourceVersion = new Uint8Array();
  #limit = 0;
  #isAccepted = false;
  /** Whether a query is not answered yet; each may take reading the whole tensor. */
  #isAnswering = false;
  /** Told when credit, a refetch or the end came. */
  readonly #news = new News();
  #isOver = false;
  /** Bytes of chunks, as sent, that the other end has not spoken of yet. */
  #unheardBytes = 0;
  /** Bytes on the wire for each of the tensor's, of the last segment. */
  #wireShare = 1;

  constructor(options: SendingOptions) {
    this.#options = options;
    this.#leafTotal = leafCount(options.source.descriptor.byteLength);
    this.#have = new LeafBitmap(this.#leafTotal);
    this.#queried = new LeafBitmap(this.#leafTotal);
    this.#stream = options.stream ?? 0;
    this.#run().catch((error) => this.#giveUp(error));
  }

  /** Fulfils when the other end says that it has everything; rejects when the attempt failed. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Ends the attempt from this end, and tells the other why. */
  cancel(reason: unknown): void {
    this.#giveUp(reason);
  }

  fail(error: unknown): void {
    this.#isOver = true;
    this.#options.channel.pace.link.lost(this.#unheardBytes);
    this.#unheardBytes = 0;
    this.#accepted.reject(error);
    this.#done.reject(error);
    this.#news.tell();
  }

  #giveUp(error: unknown): void {
    if (this.#isOver) return;
    this.fail(error);
    if (this.#stream !== 0) this.#options.channel.refuse(this.#stream, error);
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    const isLater = header.type !== FRAME.have && header.type !== FRAME.accept;
    if (isLater && !this.#isAccepted) {
      throw new ProtocolError(`The peer sent a ${frameName(header.type)} frame before it accepted`);
    }
    switch (header.type) {
      case FRAME.have:
        this.#heardHave(header, decodeChecked(header, payload));
        return;
      case FRAME.accept:
        if (this.#isAccepted) throw new ProtocolError("The peer accepted twice");
        this.#isAccepted = true;
        this.#limit = decodeMessage("accept", header, payload).limit;
        this.#accepted.resolve();
        return;
      case FRAME.credit:
        this.#limit = Math.max(this.#limit, decodeNumber(decodeChecked(header, payload)));
        this.#news.tell();
        return;
      case FRAME.ack:
        this.#heardAck(decodeRanges(decodeChecked(header, payload), this.#leafTotal));
        return;
      case FRAME.refetch:
        this.#refetches.push(...decodeRanges(decodeChecked(header, payload), this.#leafTotal));
        if (this.#refetches.length > this.#leafTotal) {
          throw new ProtocolError("The peer asked again for more leaves than the tensor has");
        }
        this.#news.tell();
        return;
      case FRAME.receipt:
        this.#options.channel.remove(this.#stream);
        if (!decodeMessage("receipt", header, payload).complete) {
          this.fail(new RemoteError("cancelled", "The peer did not keep the tensor"));
          return;
        }
        this.#isOver = true;
        this.#arrived(this.#unheardBytes);
        this.#news.tell();
        this.#done.resolve();
        return;
      default:
        throw new ProtocolError(`A sender cannot take a ${frameName(header.type)} frame`);
    }
  }

  #heardHave(header: FrameHeader, body: Uint8Array): void {
    const isQuery = (header.flags & FLAG_QUERY) !== 0;
    if (isQuery ? this.#isAnswering : this.#isAccepted) {
      throw new ProtocolError("The peer sent a have-bitmap out of order");
    }
    const bitmap = isQuery ? this.#queried : this.#have;
    const page = decodeBitmapPage(body);
    for (const leaf of leavesOf(page, this.#leafTotal)) bitmap.set(leaf);
    if (!isQuery || (header.flags & FLAG_LAST) === 0) return;
    this.#queried = new LeafBitmap(this.#leafTotal);
    this.#answer(bitmap).catch((error) => this.#giveUp(error));
  }

  #heardAck(ranges: readonly LeafRange[]): void {
    const { byteLength } = this.#options.source.descriptor;
    for (const { first, count } of ranges) {
      const end = Math.min((first + count) * LEAF_BYTES, byteLength);
      this.#options.meter.verified(end - first * LEAF_BYTES);
      this.#arrived((end - first * LEAF_BYTES) * this.#wireShare);
    }
  }

  #arrived(bytes: number): void {
    const heardBytes = Math.min(bytes, this.#unheardBytes);
    this.#unheardBytes -= heardBytes;
    this.#options.channel.pace.link.arrived(heardBytes);
  }

  async #run(): Promise<void> {
    const { source, offer, context, channel, meter } = this.#options;
    const { descriptor } = source;
    if (!context.streaming && descriptor.byteLength > MAX_CHUNK_BYTES) {
      throw new LimitError(
        `Without streaming at most ${MAX_CHUNK_BYTES} bytes can be sent, found ${descriptor.byteLength}`,
      );
    }
    const remote = await channel.link.remoteHello;
    const version = await source.version();
    const digests = new LeafDigests({
      source,
      version,
      key: formatAddress(offer.address),
      cache: context.digests,
      sha256: context.sha256,
      buffers: context.buffers,
    });
    this.#digests = digests;
    this.#version = version;
    const codecs = context.codecs.filter((codec) => remote.codecs.includes(codec.name));
    const segments: SegmentOptions = {
      source,
      context,
      pace: channel.pace,
      chunkBytes: Math.min(context.chunkBytes, remote.maxChunkBytes),
      codec: codecs[0],
      digests: offer.digest === "none" ? undefined : digests,
    };
    const names = codecs.map((codec) => codec.name);
    const full: Offer = {
      ...offer,
      descriptor,
      version,
      codecs: names,
      chunkBytes: segments.chunkBytes,
    };
    if (this.#isOver) return;
    this.#stream ||= channel.add(this);
    channel.link.send(encodeMessage("offer", this.#stream, full));
    await this.#accepted.promise;
    meter.began(descriptor.byteLength, heldBytes(this.#have, descriptor.byteLength));
    let sent: Promise<void> = Promise.resolve();
    for (const run of this.#have.missingRanges()) {
      sent = (await this.#sendRun(run, segments, names, sent)).sent;
    }
    await sent;
    while (!this.#isOver) {
      await this.#complete();
      while (this.#refetches.length === 0 && !this.#isOver) await this.#news.wait();
      await (await this.#sendAgain(segments, names, Promise.resolve())).sent;
    }
  }

  /** Sends the leaves that were asked for again. */
  async #sendAgain(
    segments: SegmentOptions,
    codecs: readonly string[],
    before: Promise<void>,
  ): Promise<{ sent: Promise<void> }> {
    let sent = before;
    // A leaf that does not match may be one that was changed since its digest was taken.
    await this.#checkVersion();
    for (let run = this.#refetches.shift(); run && !this.#isOver; run = this.#refetches.shift()) {
      // Leaves that were sent before have had their credit.
      this.#limit = Math.max(this.#limit, (run.first + run.count) * LEAF_BYTES);
      sent = (await this.#sendRun(run, segments, codecs, sent)).sent;
    }
    return { sent };
  }

  /**
   * Sends a run of leaves, one segment being read while the one before is written. The promise of
   * the last write comes wrapped, so that whoever awaits this call does not await the write.
   */
  async #sendRun(
    run: LeafRange,
    segments: SegmentOptions,
    codecs: readonly string[],
    before: Promise<void>,
  ): Promise<{ sent: Promise<void> }> {
    const { channel, source, offer } = this.#options;
    const runEnd = Math.min((run.first + run.count) * LEAF_BYTES, source.descriptor.byteLength);
    let sent = before;
    for (let at = run.first * LEAF_BYTES, end = 0; at < runEnd && !this.#isOver; at = end) {
      end = Math.min(segmentEnd(at, segments.chunkBytes), runEnd);
      // The credit may depend on a leaf that is asked for again: that one must not wait behind it.
      while (end > this.#limit && !this.#isOver) {
        if (this.#refetches.length === 0) await this.#news.wait();
        else sent = (await this.#sendAgain(segments, codecs, sent)).sent;
      }
      const release = await channel.pace.turns.take(offer.priority);
      if (this.#isOver) {
        release();
        break;
      }
      const prepared = prepareSegment(at, end, segments);
      sent = Promise.all([prepared, sent])
        .then(([segment]) => this.#transmit(segment, codecs))
        .finally(release);
      // Whoever waits for credit meanwhile would not learn of it otherwise.
      sent.catch((error) => this.#giveUp(error));
      await prepared;
    }
    return { sent };
  }

  async #transmit(segment: Segment, codecs: readonly string[]): Promise<void> {
    if (this.#isOver) return segment.release();
    const { channel, meter } = this.#options;
    if (segment.digests.length > 0) {
      const page = { firstLeaf: segment.firstLeaf, digests: segment.digests };
      channel.link.send(encodeChecked(FRAME.digests, this.#stream, encodeDigestPage(page)));
    }
    const frameBytes = segment.chunks.reduce(
      (sum, { bytes }) => sum + bytes.byteLength + CHUNK_FRONT_BYTES,
      0,
    );
    channel.pace.link.sent(frameBytes);
    this.#unheardBytes += frameBytes;
    this.#wireShare = frameBytes / segment.chunks.reduce((sum, { rawBytes }) => sum + rawBytes, 0);
    const writer = new ChunkWriter(channel.link, this.#stream, channel.pace, frameBytes);
    for (const chunk of segment.chunks) {
      await writer.write(chunk, codecNumber(chunk.codec, codecs));
      meter.moved(chunk.bytes.byteLength);
    }
    await writer.flush();
    segment.release();
  }

  /** @throws {IntegrityError} at source, when the tensor is no longer what was offered. */
  async #checkVersion(): Promise<void> {
    const { source, offer } = this.#options;
    if (equalBytes(await source.version(), this.#version)) return;
    const address = formatAddress(offer.address);
    throw new IntegrityError("source", `${address} changed while it was sent`, { address });
  }

  async #complete(): Promise<void> {
    const { source, offer, channel, context } = this.#options;
    const { descriptor } = source;
    let root: Uint8Array | undefined;
    if (offer.digest !== "none") {
      const digests = [];
      for await (const leaf of this.#readDigests(this.#leafTotal)) digests.push(leaf.digest);
      root = await tensorRoot(descriptor, digests, context.sha256);
    }
    await this.#checkVersion();
    const complete = { byteLength: descriptor.byteLength, version: this.#version, root };
    if (!this.#isOver) channel.link.send(encodeMessage("complete", this.#stream, complete));
  }

  /** Sends the digests that were asked for, a page for each run. */
  async #answer(asked: LeafBitmap): Promise<void> {
    const send = (run: readonly Uint8Array[], firstLeaf: number, flags: number) => {
      const body = encodeDigestPage({ firstLeaf, digests: run });
      const frame = encodeChecked(FRAME.digests, this.#stream, body, flags | FLAG_QUERY);
      return this.#options.channel.link.write(frame);
    };
    this.#isAnswering = true;
    let run: Uint8Array[] = [];
    let first = 0;
    for await (const leaf of this.#readDigests(this.#leafTotal, asked)) {
      if (run.length === PAGE_DIGESTS || leaf.index !== first + run.length) {
        if (run.length > 0) await send(run, first, 0);
        run = [];
        first = leaf.index;
      }
      run.push(leaf.digest);
    }
    this.#isAnswering = false;
    await send(run, first, FLAG_LAST);
  }

  /** Digests in order, read from the source where they are not known; says so when that takes long. */
  async *#readDigests(leafTotal: number, only?: LeafBitmap) {
    const { channel, context } = this.#options;
    const digests = this.#digests;
    if (!digests) throw new ProtocolError("The peer asked for digests before the offer");
    let saidAt = context.clock.now();
    for (let index = 0; index < leafTotal && !this.#isOver; index++) {
      if (only && !only.has(index)) continue;
      yield { index, digest: await digests.of(index) };
      if (context.clock.now() - saidAt < PHASE_INTERVAL_MS) continue;
      saidAt = context.clock.now();
      const phase = { phase: "verifying", bytes: index * LEAF_BYTES };
      channel.link.send(encodeMessage("phase", this.#stream, phase));
    }
  }
}

function heldBytes(have: LeafBitmap, byteLength: number): number {
  let missing = 0;
  for (const { first, count } of have.missingRanges()) {
    missing += Math.min((first + count) * LEAF_BYTES, byteLength) - first * LEAF_BYTES;
  }
  return byteLength - missing;
}
