// This module runs in every runtime.
import { deferred, News } from "../deferred.ts";
import { IntegrityError, LimitError, ProtocolError, RemoteError } from "../errors.ts";
import { codecNumber } from "../streams/frame_encoder_stream.ts";
import { formatAddress } from "../tensor/address.ts";
import { LeafBitmap, type LeafRange } from "../tensor/bitmap.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { MAX_CHUNK_BYTES } from "../tensor/chunk.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import { LEAF_BYTES, leafCount } from "../tensor/leaf.ts";
import type { PartBytes, TensorPart } from "../tensor/part.ts";
import { tensorRoot, tensorRootOfTop } from "../tensor/root.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import { decodeChecked, decodeMessage, encodeChecked, encodeMessage } from "../wire/control.ts";
import {
  FLAG_AGAIN,
  FLAG_LAST,
  FLAG_QUERY,
  FRAME,
  type FrameHeader,
  frameName,
} from "../wire/frame_header.ts";
import type { Offer } from "../wire/messages.ts";
import {
  decodeBitmapPage,
  decodeNumber,
  decodeRanges,
  encodeDigestPage,
  encodeProof,
  leavesOf,
} from "../wire/pages.ts";
import { acceptShape, receiptShape } from "../wire/request_shapes.ts";
import { pauseShape, reprioritiseShape } from "../wire/transfer_shapes.ts";
import { askedPart } from "./asked_part.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { ChunkFlow } from "./chunk_flow.ts";
import { answerQuery, type DigestAnswerOptions, readDigests } from "./digest_answer.ts";
import { LeafDigests } from "./leaf_digests.ts";
import { haveRanges, heldBytes } from "./leaf_runs.ts";
import { type GiveBack, NO_PLACE } from "./read_ahead.ts";
import { createClaim } from "./scheduler.ts";
import { prepareSegment, type Segment, type SegmentOptions, segmentEnd } from "./segment.ts";
import { SentLeaves } from "./sent_leaves.ts";
import type { SessionContext } from "./session_context.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** What a {@linkcode Sending} sends, and how. */
export interface SendingOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly source: TensorSource;
  /** The offer's own part; descriptor, version, codecs and chunk size are filled in. */
  readonly offer: Pick<Offer, "id" | "epoch" | "address" | "digest">;
  readonly priority: number;
  readonly meter: TransferMeter;
  /** The stream that the other end's request began; left out, a new one is begun. */
  readonly stream?: number;
  /** What of the tensor was asked for; all of it where left out. */
  readonly part?: TensorPart;
  /** Told when the other end wants another priority, or the transfer to stand still. */
  readonly onReprioritise?: (priority: number) => void;
  readonly onPause?: (isPaused: boolean) => void;
}

/** The sending end of one attempt at a transfer: offers, sends what is missing, proves the whole. */
export class Sending implements StreamParty {
  readonly #done = deferred<void>();
  readonly #options: SendingOptions;
  /** Given when the offer goes out, as streams begin in the order of their numbers; 0 until then. */
  #stream: number;
  /** What the tensor is; of one whose length is not known yet, the most it can be. */
  #descriptor: TensorDescriptor;
  readonly #accepted = deferred<void>();
  #have: LeafBitmap;
  readonly #refetches: LeafRange[] = [];
  readonly #leaves: SentLeaves;
  #queried: LeafBitmap;
  #digests: LeafDigests | undefined;
  /** The source's version when it was offered. */
  #version: SourceVersion = new Uint8Array();
  #limit = 0;
  #isOffered = false;
  #isAccepted = false;
  #isCompleteSaid = false;
  /** Whether a query is not answered yet; each may take reading the whole tensor. */
  #isAnswering = false;
  #isPausedHere = false;
  #isPausedThere = false;
  /** Whether the tensor's length is still to be told. */
  #isOpen: boolean;
  #chunksSent = 0;
  /** Told when credit, a refetch, the end of a pause or of everything came. */
  readonly #news = new News();
  readonly #claim: ReturnType<typeof createClaim>;
  #flow: ChunkFlow | undefined;
  #isOver = false;

  constructor(options: SendingOptions) {
    this.#options = options;
    this.#descriptor = options.source.descriptor;
    this.#isOpen = options.source.isOpenEnded ?? false;
    const leafTotal = leafCount(this.#descriptor.byteLength);
    this.#have = new LeafBitmap(leafTotal);
    this.#queried = new LeafBitmap(leafTotal);
    this.#leaves = new SentLeaves(leafTotal);
    this.#stream = options.stream ?? 0;
    this.#claim = createClaim(options.priority);
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

  /** Another priority, from the next fragment on; the other end is told. */
  reprioritise(priority: number): void {
    this.#setPriority(priority);
    if (this.#stream === 0 || this.#isOver) return;
    this.#send(encodeMessage("reprioritise", this.#stream, { priority }));
  }

  /** Begins no new chunk until it is resumed; the other end is told. */
  pause(isPaused: boolean): void {
    this.#isPausedHere = isPaused;
    this.#news.tell();
    if (this.#stream === 0 || this.#isOver) return;
    this.#send(encodeMessage("pause", this.#stream, { paused: isPaused }));
  }

  /** The other end asked for a pause before there was anything to pause. */
  pausedByPeer(): void {
    this.#isPausedThere = true;
  }

  fail(error: unknown): void {
    this.#end();
    this.#accepted.reject(error);
    this.#done.reject(error);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { channel } = this.#options;
    channel.link.credit.giveBack(this.#flow?.stop() ?? 0);
    channel.readAhead.leave(this.#claim);
    this.#news.tell();
  }

  #giveUp(error: unknown): void {
    if (this.#isOver) return;
    this.fail(error);
    if (this.#stream !== 0) this.#options.channel.refuse(this.#stream, error);
  }

  #send(frame: Uint8Array): void {
    this.#options.channel.link.send(frame);
  }

  /** What is to come behind the chunks goes the way of the chunks. */
  #sendBehind(frame: Uint8Array): void {
    void this.#flow?.send([frame], [], 0);
  }

  #setPriority(priority: number): void {
    this.#claim.priority = priority;
    if (this.#flow) this.#flow.priority = priority;
    this.#options.channel.readAhead.look();
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    const isOrder = header.type === FRAME.reprioritise || header.type === FRAME.pause;
    if (!isOrder) this.#checkTurn(header.type);
    const { leafTotal } = this.#have;
    switch (header.type) {
      case FRAME.have:
        this.#heardHave(header, decodeChecked(header, payload));
        return;
      case FRAME.accept:
        if (this.#isAccepted) throw new ProtocolError("The peer accepted twice");
        this.#isAccepted = true;
        this.#limit = decodeMessage(acceptShape, header, payload).limit;
        this.#accepted.resolve();
        return;
      case FRAME.credit:
        this.#limit = Math.max(this.#limit, decodeNumber(decodeChecked(header, payload)));
        this.#news.tell();
        return;
      case FRAME.ack:
        this.#heardAck(decodeRanges(decodeChecked(header, payload), leafTotal));
        return;
      case FRAME.refetch:
        this.#heardRefetch(decodeRanges(decodeChecked(header, payload), leafTotal));
        return;
      case FRAME.reprioritise: {
        const { priority } = decodeMessage(reprioritiseShape, header, payload);
        this.#setPriority(priority);
        this.#options.onReprioritise?.(priority);
        return;
      }
      case FRAME.pause:
        this.#isPausedThere = decodeMessage(pauseShape, header, payload).paused;
        this.#options.onPause?.(this.#isPausedThere);
        this.#news.tell();
        return;
      case FRAME.receipt: {
        // Read before the stream is over: a receipt that came damaged must fail the attempt.
        const isComplete = decodeMessage(receiptShape, header, payload).complete;
        this.#options.channel.remove(this.#stream);
        if (!isComplete) {
          this.fail(new RemoteError("cancelled", "The peer did not keep the tensor"));
          return;
        }
        this.#end();
        this.#done.resolve();
        return;
      }
      default:
        throw new ProtocolError(`A sender cannot take a ${frameName(header.type)} frame`);
    }
  }

  /** @throws {ProtocolError} for what may not be said yet. */
  #checkTurn(type: number): void {
    const isAnswer = type === FRAME.have || type === FRAME.accept;
    let before: string | undefined;
    if (!this.#isOffered) before = "the offer";
    else if (!isAnswer && !this.#isAccepted) before = "it accepted";
    else if (type === FRAME.receipt && !this.#isCompleteSaid) before = "it had everything";
    if (before === undefined) return;
    throw new ProtocolError(`The peer sent a ${frameName(type)} frame before ${before}`);
  }

  #heardRefetch(ranges: readonly LeafRange[]): void {
    this.#leaves.askedAgain(ranges);
    this.#refetches.push(...ranges);
    this.#news.tell();
    // The place that a new chunk waits for may depend on credit that these leaves hold.
    this.#options.channel.readAhead.leave(this.#claim);
  }

  #heardHave(header: FrameHeader, body: Uint8Array): void {
    const isQuery = (header.flags & FLAG_QUERY) !== 0;
    if (isQuery ? this.#isAnswering : this.#isAccepted) {
      throw new ProtocolError("The peer sent a have-bitmap out of order");
    }
    const { leafTotal } = this.#have;
    const bitmap = isQuery ? this.#queried : this.#have;
    const page = decodeBitmapPage(body);
    for (const leaf of leavesOf(page, leafTotal)) bitmap.set(leaf);
    if (!isQuery || (header.flags & FLAG_LAST) === 0) return;
    this.#queried = new LeafBitmap(leafTotal);
    this.#isAnswering = true;
    answerQuery(this.#digestAnswer(), bitmap, () => {
      this.#isAnswering = false;
    }).catch((error) => this.#giveUp(error));
  }

  #heardAck(ranges: readonly LeafRange[]): void {
    const { source, meter } = this.#options;
    const bytes = this.#leaves.acknowledged(ranges, this.#descriptor.byteLength);
    if (bytes > 0) meter.verified(bytes);
    source.acknowledged?.(ranges);
  }

  async #run(): Promise<void> {
    const { source, offer, context, channel, meter } = this.#options;
    const { byteLength } = this.#descriptor;
    if (!context.streaming && byteLength > MAX_CHUNK_BYTES) {
      throw new LimitError(
        `Without streaming at most ${MAX_CHUNK_BYTES} bytes can be sent, found ${byteLength}`,
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
    const part = askedPart(this.#descriptor, this.#options.part ?? {});
    const codecs = context.codecs.filter((codec) => remote.codecs.includes(codec.name));
    const segments: SegmentOptions = {
      source,
      context,
      governor: channel.governor,
      chunkBytes: Math.min(context.chunkBytes, remote.maxChunkBytes),
      codec: codecs[0],
      digests: offer.digest === "none" ? undefined : digests,
    };
    const names = codecs.map((codec) => codec.name);
    const tree = part && offer.digest !== "none" ? await digests.tree() : undefined;
    const root = tree && (await tensorRootOfTop(this.#descriptor, tree.top, context.sha256));
    const full: Offer = {
      ...offer,
      priority: this.#claim.priority,
      descriptor: this.#descriptor,
      version,
      codecs: names,
      chunkBytes: segments.chunkBytes,
      ...(this.#isOpen && { open: true }),
      ...(root && { root }),
    };
    if (this.#isOver) return;
    this.#stream ||= channel.add(this);
    this.#flow = new ChunkFlow(channel.outbox, this.#stream, this.#claim.priority);
    this.#isOffered = true;
    this.#send(encodeMessage("offer", this.#stream, full));
    if (this.#isPausedHere) this.pause(true);
    await this.#accepted.promise;
    if (part) this.#leaveOut(part);
    source.acknowledged?.(haveRanges(this.#have));
    const held = heldBytes(this.#have, byteLength);
    this.#leaves.accepted(this.#have);
    meter.began(this.#isOpen ? undefined : byteLength, held);
    let sent: Promise<void> = Promise.resolve();
    for (const run of this.#have.missingRanges()) {
      sent = (await this.#sendRun(run, segments, names, sent, 0)).sent;
      if (run.first * LEAF_BYTES >= this.#descriptor.byteLength) break;
    }
    await sent;
    if (part && tree) {
      const { first, count } = part.leaves;
      const body = encodeProof({ first, count, hashes: tree.proof(first, count) });
      this.#sendBehind(encodeChecked(FRAME.proof, this.#stream, body));
    }
    while (!this.#isOver) {
      await this.#complete(part !== undefined);
      while (this.#refetches.length === 0 && !this.#isOver) await this.#news.wait();
      await (await this.#sendAgain(segments, names, Promise.resolve())).sent;
    }
  }

  /** What was not asked for counts as had by the other end. */
  #leaveOut({ leaves: { first, count } }: PartBytes): void {
    for (let leaf = 0; leaf < this.#have.leafTotal; leaf++) {
      if (leaf < first || leaf >= first + count) this.#have.set(leaf);
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
      this.#leaves.answered(run.count);
      // Leaves that were sent before have had their credit.
      this.#limit = Math.max(this.#limit, (run.first + run.count) * LEAF_BYTES);
      sent = (await this.#sendRun(run, segments, codecs, sent, FLAG_AGAIN)).sent;
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
    flags: number,
  ): Promise<{ sent: Promise<void> }> {
    const { channel, source } = this.#options;
    const runEnd = () =>
      Math.min((run.first + run.count) * LEAF_BYTES, this.#descriptor.byteLength);
    let sent = before;
    for (let at = run.first * LEAF_BYTES, end = 0; at < runEnd() && !this.#isOver; at = end) {
      end = Math.min(segmentEnd(at, segments.chunkBytes), runEnd());
      // Credit, of others too, may depend on a leaf that is asked for again: that one never waits.
      while (flags === 0 && this.#mustWait(end) && !this.#isOver) {
        if (this.#refetches.length === 0) await this.#news.wait();
        else sent = (await this.#sendAgain(segments, codecs, sent)).sent;
      }
      if (flags === 0) {
        // Whoever makes the bytes may take long: no place is held meanwhile that others need.
        const here = this.#isOpen ? this.#seekEnd(end) : source.ready?.(at, end - at);
        if (here) {
          sent = (await this.#answerUntil(here, segments, codecs, sent)).sent;
          end = Math.min(end, runEnd());
          if (end <= at) break;
          if (this.#mustWait(end)) {
            end = at;
            continue;
          }
        }
      }
      const bytes = end - at;
      const giveBack = await channel.readAhead.take(this.#claim, bytes, flags === 0 ? bytes : 0);
      const unusedBytes = flags === 0 ? bytes : 0;
      if (this.#isOver) {
        giveBack(unusedBytes);
        break;
      }
      if (giveBack === NO_PLACE) {
        end = at;
        continue;
      }
      const prepared = prepareSegment(at, end, segments);
      prepared.catch(() => giveBack(unusedBytes));
      sent = Promise.all([prepared, sent]).then(([segment]) =>
        this.#transmit(segment, codecs, flags, giveBack),
      );
      // Whoever waits for credit meanwhile would not learn of it otherwise.
      sent.catch((error) => this.#giveUp(error));
      await prepared;
    }
    return { sent };
  }

  /** Waits for something, and sends meanwhile what is asked for again. */
  async #answerUntil(
    work: Promise<void>,
    segments: SegmentOptions,
    codecs: readonly string[],
    before: Promise<void>,
  ): Promise<{ sent: Promise<void> }> {
    let sent = before;
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
      this.#news.tell();
    });
    done.catch(() => {});
    while (!isDone && !this.#isOver) {
      if (this.#refetches.length === 0) await this.#news.wait();
      else sent = (await this.#sendAgain(segments, codecs, sent)).sent;
    }
    if (!this.#isOver) await done;
    return { sent };
  }

  /** Whether something has to come before a new chunk. */
  #mustWait(end: number): boolean {
    const isPaused = this.#isPausedHere || this.#isPausedThere;
    return end > this.#limit || isPaused || this.#refetches.length > 0;
  }

  async #transmit(
    segment: Segment,
    codecs: readonly string[],
    flags: number,
    giveBack: GiveBack,
  ): Promise<void> {
    const rawBytes = segment.chunks.reduce((sum, chunk) => sum + chunk.rawBytes, 0);
    if (this.#isOver || !this.#flow) {
      giveBack(flags === 0 ? rawBytes : 0);
      return segment.release();
    }
    const frames: Uint8Array[] = [];
    if (segment.digests.length > 0) {
      const page = { firstLeaf: segment.firstLeaf, digests: segment.digests };
      frames.push(encodeChecked(FRAME.digests, this.#stream, encodeDigestPage(page)));
    }
    const chunks = segment.chunks.map((chunk) => ({
      chunk,
      codec: codecNumber(chunk.codec, codecs),
    }));
    this.#leaves.begun(segment.firstLeaf + Math.ceil(rawBytes / LEAF_BYTES));
    await this.#flow.send(frames, chunks, flags);
    this.#chunksSent += chunks.length;
    for (const { bytes, rawBytes } of segment.chunks) {
      this.#options.meter.moved(bytes.byteLength, rawBytes);
    }
    giveBack();
    segment.release();
  }

  /** Finds out whether a tensor of unknown length ends by `end`, and tells the other end where. */
  async #seekEnd(end: number): Promise<void> {
    const byteLength = await this.#options.source.peekEnd?.(end);
    if (byteLength === undefined || this.#isOver) return;
    const { dtype, shape, byteLength: mostBytes } = this.#descriptor;
    const rows = (byteLength / mostBytes) * (shape[0] ?? 1);
    const descriptor = createDescriptor(dtype, [rows, ...shape.slice(1)], byteLength);
    this.#isOpen = false;
    this.#descriptor = descriptor;
    this.#digests?.settle(leafCount(byteLength));
    this.#sendBehind(encodeMessage("extent", this.#stream, { descriptor }));
  }

  /** @throws {IntegrityError} at source, when the tensor is no longer what was offered. */
  async #checkVersion(): Promise<void> {
    const { source, offer } = this.#options;
    if (equalBytes(await source.version(), this.#version)) return;
    const address = formatAddress(offer.address);
    throw new IntegrityError("source", `${address} changed while it was sent`, { address });
  }

  async #complete(isPart: boolean): Promise<void> {
    const { offer, context } = this.#options;
    let root: Uint8Array | undefined;
    if (offer.digest !== "none" && !isPart) {
      const digests = [];
      for await (const leaf of readDigests(this.#digestAnswer())) digests.push(leaf.digest);
      if (this.#isOver) return;
      root = await tensorRoot(this.#descriptor, digests, context.sha256);
    }
    await this.#checkVersion();
    if (this.#isOver) return;
    const { byteLength } = this.#descriptor;
    this.#isCompleteSaid = true;
    // What of a part was not asked for does not exist.
    if (!isPart) this.#leaves.completed();
    const complete = { byteLength, version: this.#version, root, chunks: this.#chunksSent };
    this.#sendBehind(encodeMessage("complete", this.#stream, complete));
  }

  #digestAnswer(): DigestAnswerOptions {
    const { channel, context } = this.#options;
    const digests = this.#digests;
    if (!digests) throw new ProtocolError("The peer asked for digests before the offer");
    const { clock } = context;
    return { channel, clock, stream: this.#stream, digests, isOver: () => this.#isOver };
  }
}
