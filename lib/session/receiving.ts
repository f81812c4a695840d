// This module runs in every runtime.
import { deferred } from "../deferred.ts";
import { IntegrityError, LimitError, ProtocolError, TransportError } from "../errors.ts";
import { formatAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafLength } from "../tensor/leaf.ts";
import type { PartBytes, TensorPart } from "../tensor/part.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import { decodeChecked, decodeMessage, encodeMessage } from "../wire/control.ts";
import { FLAG_LAST, FLAG_QUERY, FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Complete, DigestMode, Offer } from "../wire/messages.ts";
import { decodeDigestPage, decodeProof, type ProofPage } from "../wire/pages.ts";
import type { TensorFrame } from "../wire/tensor_frame.ts";
import {
  completeShape,
  extentShape,
  offerShape,
  pauseShape,
  phaseShape,
  reprioritiseShape,
} from "../wire/transfer_shapes.ts";
import { askedPart } from "./asked_part.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { CreditLine } from "./credit_line.ts";
import { DigestQuery, type TheirDigests } from "./digest_query.ts";
import { haveFrames } from "./have_frames.ts";
import { LeafIntake, NO_DIGEST } from "./leaf_intake.ts";
import { LeafLedger } from "./leaf_ledger.ts";
import { MendQueue } from "./mend_queue.ts";
import { checkBounds } from "./offer_checks.ts";
import { rangeFrames, rangesOf } from "./range_frames.ts";
import type { SessionContext } from "./session_context.ts";
import { logLeaves } from "./session_log.ts";
import { type TransferIdentity, takeSmall } from "./small_receiving.ts";
import { StallWatch } from "./stall_watch.ts";
import type { TransferMeter } from "./transfer_meter.ts";
import { checkComplete, checkProof, isWhole, rootOfPart, type Verified } from "./verdict.ts";

/** What a {@linkcode Receiving} receives, and where it goes. */
export interface ReceivingOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly meter: TransferMeter;
  readonly digest: DigestMode;
  readonly identity: TransferIdentity;
  /** The transfer's priority now. */
  readonly priority: () => number;
  /** Gives the sink once the offer is known; refuses by throwing. */
  readonly open: (offer: Offer) => Promise<TensorSink>;
  /** The stream that the other end began; left out, one is begun here. */
  readonly stream?: number;
  /** What was asked for; all of the tensor where left out. */
  readonly part?: TensorPart;
  /** The root that the tensor must have, from somebody trusted. */
  readonly root?: Uint8Array;
  /** Whether a reader waits for bytes; left out, whatever goes to a reader is taken to be waited for. */
  readonly isReaderWaiting?: () => boolean;
  /** Told what the tensor turned out to be, where its length was not known. */
  readonly onDescriptor?: (descriptor: Offer["descriptor"]) => void;
  /** Told when the sender is busy with something else than sending. */
  readonly onPhase?: (phase: string) => void;
  readonly onReprioritise?: (priority: number) => void;
  readonly onPause?: (isPaused: boolean) => void;
}

/** Everything that exists from the moment the sink is open. */
interface Open {
  readonly offer: Offer;
  readonly sink: TensorSink;
  readonly ledger: LeafLedger;
  readonly intake: LeafIntake;
  readonly credit: CreditLine;
  readonly part: PartBytes | undefined;
  readonly mends: MendQueue;
}

/** How often a tensor whose root does not match is compared and mended. */
const MAX_MENDS = 2;
/** Leaves that such a tensor waits for at a time. */
const MOST_MENDED_AT_ONCE = 8;

/** The receiving end of one attempt at a transfer: says what it has, verifies, stores, asks again. */
export class Receiving implements StreamParty {
  /** The number under which frames travel. */
  readonly stream: number;
  readonly #done = deferred<void>();
  readonly #options: ReceivingOptions;
  #isOffered = false;
  #open: Open | undefined;
  #sink: TensorSink | undefined;
  #opening: void | Promise<void> = undefined;
  readonly #query: DigestQuery;
  #complete: Complete | undefined;
  #proof: ProofPage | undefined;
  #root: Uint8Array | undefined;
  #verified: Verified | undefined;
  #mends = 0;
  /** Bytes that used credit and are neither a safe leaf nor dropped yet. */
  #heldBytes = 0;
  #isFinishing = false;
  /** Whether the sink is making the tensor final: what happens to the link does not matter any more. */
  #isCommitting = false;
  /** Whether the next step is this end's; the sender is not to blame for it. */
  #isOurTurn = false;
  #isPausedHere = false;
  #isPausedThere = false;
  readonly #watch: StallWatch;
  #isOver = false;

  constructor(options: ReceivingOptions) {
    this.#options = options;
    this.stream = options.stream ?? options.channel.add(this);
    this.#query = new DigestQuery(options.channel, this.stream);
    const { clock, limits } = options.context;
    this.#watch = new StallWatch({
      clock,
      timeoutMs: limits.stallTimeoutMs,
      isWaiting: () => this.#isTheirTurn,
      onStall: () =>
        this.#giveUp(
          new TransportError(`The transfer stood still for ${limits.stallTimeoutMs} ms`),
        ),
    });
  }

  /** Fulfils when the tensor is verified and committed; rejects when the attempt failed. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** The tensor's root, once it is verified. */
  get root(): Uint8Array | undefined {
    return this.#root;
  }

  /** How far everything was checked, once it is done. */
  get verified(): Verified | undefined {
    return this.#verified;
  }

  get #isTheirTurn(): boolean {
    if (this.#isOurTurn || this.#isPausedHere || this.#isPausedThere) return false;
    const { intake, credit } = this.#open ?? {};
    // A sender that has used its credit waits for the reader, as it should.
    return (intake?.busy ?? 0) === 0 && !(credit?.isUsedUp ?? false);
  }

  /** Ends the attempt from this end, and tells the other why. What is verified is kept. */
  cancel(reason: unknown): void {
    this.#giveUp(reason);
  }

  /** Asks the sender for another priority. */
  reprioritise(priority: number): void {
    if (!this.#isOver) this.#send(encodeMessage("reprioritise", this.stream, { priority }));
  }

  /** Asks the sender to begin no new chunk, or to go on. */
  pause(isPaused: boolean): void {
    this.#isPausedHere = isPaused;
    this.#watch.heard();
    if (!this.#isOver) this.#send(encodeMessage("pause", this.stream, { paused: isPaused }));
  }

  /** The reader of a stream wants more than there is. */
  readerWaits(): void {
    if (!this.#isOver) this.#open?.credit.tell(true);
  }

  fail(error: unknown): void {
    if (this.#isOver || this.#isCommitting) return;
    this.#isOver = true;
    this.#query.fail(error);
    const over = () => this.#done.reject(error);
    this.#letGo().then(over, over);
  }

  async #letGo(): Promise<void> {
    const { channel } = this.#options;
    this.#watch.stop();
    this.#open?.intake.stop();
    this.#open?.credit.leave();
    const heldBytes = this.#heldBytes;
    this.#heldBytes = 0;
    channel.consumed(heldBytes);
    await this.#sink?.release();
  }

  #giveUp(error: unknown): void {
    if (this.#isOver) return;
    const { channel } = this.#options;
    this.fail(error);
    if (error instanceof ProtocolError) channel.link.close(error);
    else channel.refuse(this.stream, error);
  }

  #send(frame: Uint8Array): void {
    this.#options.channel.link.send(frame);
  }

  /** Settles when the sink is not touched any more; one that is not open yet never will be. */
  async quiet(): Promise<void> {
    await this.done.catch(() => {});
    if (this.#sink) await this.#opening;
  }

  /** Opening the sink, if that goes on, and letting go of it. */
  work(): Promise<unknown> {
    return Promise.allSettled([this.#opening, this.done]);
  }

  /** Runs work whose failure ends the attempt. */
  #guard(work: () => void | Promise<void>): void | Promise<void> {
    try {
      return work()?.catch((error) => this.#giveUp(error));
    } catch (error) {
      this.#giveUp(error);
    }
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    this.#watch.heard();
    switch (header.type) {
      case FRAME.offer:
        this.offered(decodeMessage(offerShape, header, payload));
        return;
      case FRAME.extent:
        this.#heardExtent(decodeMessage(extentShape, header, payload).descriptor);
        return;
      case FRAME.digests:
        this.#heardDigests(header, decodeChecked(header, payload));
        return;
      case FRAME.proof:
        this.#heardProof(decodeChecked(header, payload));
        return;
      case FRAME.complete:
        this.#heardComplete(decodeMessage(completeShape, header, payload));
        return;
      case FRAME.phase:
        this.#options.onPhase?.(decodeMessage(phaseShape, header, payload).phase);
        return;
      case FRAME.reprioritise:
        this.#options.onReprioritise?.(decodeMessage(reprioritiseShape, header, payload).priority);
        return;
      case FRAME.pause:
        this.#isPausedThere = decodeMessage(pauseShape, header, payload).paused;
        this.#options.onPause?.(this.#isPausedThere);
        return;
      default:
        throw new ProtocolError(`A receiver cannot take a ${frameName(header.type)} frame`);
    }
  }

  chunk(head: ChunkHead, dataBytes: number, isAgain: boolean): void {
    this.#opened().intake.begin(head, dataBytes, isAgain);
    if (head.fragmentOffset === 0 && !isAgain) this.#heldBytes += head.rawBytes;
  }

  chunkData(bytes: Uint8Array): void {
    this.#watch.heard();
    const chunk = this.#opened().intake.data(bytes);
    if (chunk === undefined) return;
    this.#options.meter.moved(chunk.bytes.byteLength, chunk.rawBytes);
    if (this.#complete) this.#guard(() => this.#finishWhenWhole());
  }

  /** The whole tensor came in one frame instead of an offer. */
  tensor(_stream: number, tensor: TensorFrame): void {
    if (this.#isOffered) throw new ProtocolError("The peer sent a tensor after its offer");
    this.#isOffered = true;
    this.#isOurTurn = true;
    this.#heldBytes += tensor.descriptor.byteLength;
    const { context, digest, meter, channel, open, root, identity } = this.#options;
    const bytes = tensor.data.slice();
    const own = { ...tensor, data: bytes, ...(tensor.digest && { digest: tensor.digest.slice() }) };
    meter.moved(bytes.byteLength, tensor.descriptor.byteLength);
    this.#opening = this.#guard(async () => {
      const taken = await takeSmall(own, {
        context,
        digest,
        identity,
        ...(root && { root }),
        codecs: context.codecs,
        open: async (offer) => {
          checkBounds(offer, digest, context);
          if (this.#options.part) askedPart(offer.descriptor, this.#options.part);
          const sink = await open(offer);
          this.#sink = sink;
          meter.began(offer.descriptor.byteLength, 0);
          return sink;
        },
        isOver: () => this.#isOver,
        onCommit: () => {
          this.#isCommitting = true;
        },
      }).finally(() => {
        this.#isCommitting = false;
      });
      if (!taken || this.#isOver) return;
      meter.verified(tensor.descriptor.byteLength);
      this.#root = taken.root;
      this.#verified = taken.root ? "root" : "checksums";
      channel.confirm(this.stream);
      await this.#finish();
    });
  }

  #log(what: string, leaves: number, firstLeaf: number | undefined, why?: string): void {
    logLeaves(what, this.#options.identity, { leaves, firstLeaf, why });
  }

  #opened(): Open {
    if (this.#open) return this.#open;
    throw new ProtocolError("The peer went on before its offer was accepted");
  }

  /** The tensor is offered, by the stream's first frame or by one that answers it. */
  offered(offer: Offer): void {
    if (this.#isOffered) throw new ProtocolError("The peer offered twice");
    this.#isOffered = true;
    this.#isOurTurn = true;
    this.#opening = this.#guard(async () => {
      const { context, channel, meter, digest, isReaderWaiting } = this.#options;
      checkBounds(offer, digest, context);
      const { byteLength } = offer.descriptor;
      const part = askedPart(offer.descriptor, this.#options.part ?? {});
      const sink = await this.#options.open(offer);
      this.#sink = sink;
      if (this.#isOver) return sink.release();
      if (offer.open && !sink.settle) {
        throw new LimitError("Only tensors whose length is known can be taken here");
      }
      const ledger = new LeafLedger(byteLength, context.maxRefetches);
      const keep = await this.#stillValid(offer, sink);
      await sink.begin(offer.version, keep);
      if (this.#isOver) return;
      for (const leaf of keep) ledger.keep(leaf, false);
      if (keep.length > 0) this.#log("transfer resumed", keep.length, keep[0]?.index);
      const { first, count } = part?.leaves ?? { first: 0, count: ledger.leafTotal };
      for (let leaf = 0; part && leaf < ledger.leafTotal; leaf++) {
        if (leaf < first || leaf >= first + count) ledger.leaveOut(leaf);
      }
      const intake = new LeafIntake({
        context,
        offer,
        digest,
        sink,
        ledger,
        priority: this.#options.priority,
        onSafe: (leaf, bytes) => this.#leafSafe(leaf, bytes),
        onDamaged: (leaves, why) => this.#refetch(leaves, why),
        onDropped: (bytes) => this.#consumed(bytes),
        onFault: (error) => this.#giveUp(error),
        onIdle: () => this.#guard(() => this.#finishWhenWhole()),
      });
      channel.incoming.widen(offer.chunkBytes);
      const isReader = (sink.pace ?? "reader") === "reader";
      const credit = new CreditLine({
        channel,
        context,
        stream: this.stream,
        ledger,
        chunkBytes: offer.chunkBytes,
        isReaderWaiting: isReader ? (isReaderWaiting ?? (() => intake.writes === 0)) : undefined,
        takesAtOnce: isReaderWaiting !== undefined,
      });
      const mends = new MendQueue(MOST_MENDED_AT_ONCE, (leaves) =>
        this.#refetch(leaves, "The tensor's root does not match"),
      );
      this.#open = { offer, sink, ledger, intake, credit, part, mends };
      let heldBytes = 0;
      for (const leaf of keep) heldBytes += leafLength(leaf.index, byteLength);
      const partLength =
        part && Math.min((first + count) * LEAF_BYTES, byteLength) - first * LEAF_BYTES;
      meter.began(offer.open ? undefined : (partLength ?? byteLength), heldBytes);
      if (keep.length > 0) {
        for (const frame of haveFrames(this.stream, ledger.safe, false)) this.#send(frame);
      }
      channel.tellCredit();
      credit.accept();
      if (this.#isPausedHere) this.pause(true);
      this.#isOurTurn = false;
    });
  }

  /** What the sink holds that is part of the version on offer. */
  async #stillValid(offer: Offer, sink: TensorSink): Promise<readonly LeafDigest[]> {
    const held = this.#options.context.streaming ? await sink.held() : undefined;
    if (!held) return [];
    const isSame = equalBytes(held.version, offer.version);
    if (offer.digest === "none") return isSame ? held.leaves : [];
    const hashed = held.leaves.filter((leaf) => !equalBytes(leaf.digest, NO_DIGEST));
    if (isSame || hashed.length === 0) return hashed;
    const ledger = new LeafLedger(offer.descriptor.byteLength, 0);
    for (const leaf of hashed) ledger.keep(leaf, false);
    const theirs = await this.#compare(ledger);
    return hashed.filter(({ index, digest }) => equalBytes(digest, theirs.get(index) ?? NO_DIGEST));
  }

  /** Asks for the sender's digests of the ledger's safe leaves. */
  async #compare(ledger: LeafLedger): Promise<TheirDigests> {
    this.#isOurTurn = false;
    const theirs = await this.#query.ask(ledger.safe);
    this.#isOurTurn = true;
    return theirs;
  }

  #heardDigests(header: FrameHeader, body: Uint8Array): void {
    const page = decodeDigestPage(body);
    if ((header.flags & FLAG_QUERY) !== 0) {
      this.#query.heard(page, (header.flags & FLAG_LAST) !== 0);
      return;
    }
    this.#opened().intake.expect(page);
  }

  #heardProof(body: Uint8Array): void {
    const { ledger, offer, part } = this.#opened();
    if (this.#proof || this.#isFinishing) throw new ProtocolError("The peer proved a part twice");
    const proof = decodeProof(body, ledger.leafTotal);
    checkProof(proof, offer, part);
    this.#proof = proof;
  }

  #heardExtent(descriptor: Offer["descriptor"]): void {
    const { offer, ledger, intake, sink } = this.#opened();
    const { dtype, shape } = offer.descriptor;
    const isSame =
      descriptor.dtype === dtype &&
      descriptor.shape.length === shape.length &&
      descriptor.shape.every((size, n) => (n === 0 ? size <= (shape[0] ?? 0) : size === shape[n]));
    if (!offer.open || !isSame) {
      throw new ProtocolError(`The peer ended a ${dtype} tensor of [${shape}] as another`);
    }
    ledger.settle(descriptor.byteLength);
    intake.settle(descriptor.byteLength);
    sink.settle?.(descriptor);
    (this.#open as { offer: Offer }).offer = { ...offer, descriptor, open: false };
    this.#options.meter.settle(descriptor.byteLength);
    this.#options.onDescriptor?.(descriptor);
  }

  #leafSafe(leaf: LeafDigest, bytes: number): void {
    const { ledger, credit, mends } = this.#opened();
    ledger.keep(leaf, true);
    this.#options.meter.verified(bytes);
    this.#consumed(bytes);
    mends.safe(leaf.index);
    credit.tell();
  }

  /** Bytes that used credit are done with. */
  #consumed(bytes: number): void {
    const doneBytes = Math.min(bytes, this.#heldBytes);
    this.#heldBytes -= doneBytes;
    this.#options.channel.consumed(doneBytes);
  }

  #refetch(leaves: readonly number[], why: string): void {
    const { ledger, offer } = this.#opened();
    for (const index of leaves) {
      if (ledger.refetch(index)) continue;
      throw new IntegrityError("transit", `${why}, again and again`, {
        address: formatAddress(offer.address),
        byteOffset: index * LEAF_BYTES,
        retryable: false,
      });
    }
    this.#log("leaves fetched again", leaves.length, leaves[0], why);
    // The sender says once more that it is done when it has sent these.
    this.#complete = undefined;
    for (const frame of rangeFrames("refetch", this.stream, rangesOf(leaves))) this.#send(frame);
  }

  #heardComplete(complete: Complete): void {
    const { ledger, intake, mends } = this.#opened();
    if (this.#complete || this.#isFinishing) {
      throw new ProtocolError("The peer said twice that it is done");
    }
    if (complete.chunks < intake.chunksHeard) {
      throw new ProtocolError(
        `The peer says it sent ${complete.chunks} chunks; ${intake.chunksHeard} have come`,
      );
    }
    // Said before the sender learnt what is to be sent again; another one will follow that.
    if (ledger.isAwaitingAgain || mends.size > 0) return;
    this.#complete = complete;
    this.#guard(() => this.#finishWhenWhole());
  }

  async #finishWhenWhole(): Promise<void> {
    const { ledger, offer, intake, part } = this.#open ?? {};
    const complete = this.#complete;
    if (!complete || !ledger || !offer || !intake || this.#isOver || this.#isFinishing) return;
    // On several lanes, chunks may come after what was said of them.
    if (intake.busy > 0 || intake.chunksHeard < complete.chunks) return;
    checkComplete(complete, { offer, ledger }, part !== undefined);
    const { root } = complete;
    this.#complete = undefined;
    this.#isFinishing = true;
    this.#isOurTurn = true;
    this.#verified = "checksums";
    this.#root = root;
    if (offer.digest !== "none") {
      const { context, root: wantedRoot } = this.#options;
      const received = { offer, ledger, sha256: context.sha256, wantedRoot };
      if (part) {
        this.#root = await rootOfPart(received, part, this.#proof);
        this.#verified = this.#root ? "root" : "digests";
      } else {
        if (!(await isWhole(received, root))) return this.#mend();
        this.#verified = "root";
      }
    }
    if (this.#isOver) return;
    this.#watch.stop();
    this.#isCommitting = true;
    try {
      await this.#sink?.commit(root);
    } finally {
      this.#isCommitting = false;
    }
    const { channel } = this.#options;
    channel.remove(this.stream);
    this.#send(encodeMessage("receipt", this.stream, { complete: true }));
    await this.#finish();
  }

  async #finish(): Promise<void> {
    this.#isOver = true;
    await this.#letGo();
    this.#done.resolve();
  }

  /** The root differs: finds the leaves that do, and fetches those again. */
  async #mend(): Promise<void> {
    const { ledger, sink, offer, mends } = this.#opened();
    const address = formatAddress(offer.address);
    const theirs = await this.#compare(ledger);
    const differing = new Set<number>();
    for (const [index, digest] of ledger.digests.entries()) {
      if (!equalBytes(digest, theirs.get(index) ?? NO_DIGEST)) differing.add(index);
    }
    if (differing.size === 0 || ++this.#mends > MAX_MENDS) {
      throw new IntegrityError("source", `${address} does not have the root that its sender gave`, {
        address,
        retryable: false,
      });
    }
    const keep = ledger.digests
      .map((digest, index) => ({ index, digest }))
      .filter(({ index }) => !differing.has(index));
    if (this.#isOver) return;
    await sink.begin(offer.version, keep);
    ledger.forget(differing);
    this.#isFinishing = false;
    this.#isOurTurn = false;
    // The sender says once more that it is done when it has sent these.
    const [firstLeaf] = differing;
    this.#log("tensor mended", differing.size, firstLeaf);
    mends.begin([...differing]);
  }
}
