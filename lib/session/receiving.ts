// This module runs in every runtime.
import { decodeChunk } from "../codec/decode_chunk.ts";
import { deferred } from "../deferred.ts";
import { IntegrityError, LimitError, ProtocolError, TransportError } from "../errors.ts";
import { ChunkCollector } from "../streams/chunk_collector.ts";
import { LeafCollector, type WholeLeaf } from "../streams/leaf_collector.ts";
import { verifyChecksum } from "../streams/verifier_stream.ts";
import { formatAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { type LeafDigest, MAX_CHUNK_BYTES, type TensorChunk } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
import { tensorRoot } from "../tensor/root.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import { decodeChecked, decodeMessage, encodeChecked, encodeMessage } from "../wire/control.ts";
import { FLAG_LAST, FLAG_QUERY, FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Complete, DigestMode, Offer } from "../wire/messages.ts";
import { decodeDigestPage, encodeNumber } from "../wire/pages.ts";
import type { Channel, StreamParty } from "./channel.ts";
import { DigestQuery, type TheirDigests } from "./digest_query.ts";
import { haveFrames } from "./have_frames.ts";
import { LeafBuffers } from "./leaf_buffers.ts";
import { LeafLedger } from "./leaf_ledger.ts";
import { rangeFrames, rangesOf } from "./range_frames.ts";
import type { SessionContext } from "./session_context.ts";
import { StallWatch } from "./stall_watch.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** What a {@linkcode Receiving} receives, and where it goes. */
export interface ReceivingOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly meter: TransferMeter;
  readonly digest: DigestMode;
  /** Gives the sink once the offer is known; refuses by throwing. */
  readonly open: (offer: Offer) => Promise<TensorSink>;
  /** The stream and the offer that the other end began it with; left out, one is begun here. */
  readonly pushed?: { readonly stream: number; readonly offer: Offer };
  /** Whether the tensor goes to a reader, at the reader's pace: its window is then its own affair. */
  readonly isReaderPaced?: boolean;
  /** Told when the sender is busy with something else than sending. */
  readonly onPhase?: (phase: string) => void;
}

/** Everything that exists from the moment the sink is open. */
interface Open {
  readonly offer: Offer;
  readonly sink: TensorSink;
  readonly ledger: LeafLedger;
  readonly buffers: LeafBuffers;
  readonly chunks: ChunkCollector;
  readonly leaves: LeafCollector;
}

/** How often a tensor whose root does not match is compared and mended. */
const MAX_MENDS = 2;
/** The sender is at most a window ahead, so that few digests wait for their leaf. */
const MAX_EXPECTED = 4096;
const NO_DIGEST: Uint8Array = new Uint8Array(32);

/** The receiving end of one attempt at a transfer: says what it has, verifies, stores, asks again. */
export class Receiving implements StreamParty {
  /** The number under which frames travel. */
  readonly stream: number;
  readonly #done = deferred<void>();
  readonly #options: ReceivingOptions;
  /** Digests that the sender announced for leaves still to come. */
  readonly #expected = new Map<number, Uint8Array>();
  /** Leaves of which a chunk was damaged, until they begin anew. */
  readonly #damaged = new Set<number>();
  #leafTotal = 0;
  #isOffered = false;
  #open: Open | undefined;
  #sink: TensorSink | undefined;
  readonly #query: DigestQuery;
  #complete: Complete | undefined;
  #root: Uint8Array | undefined;
  #mends = 0;
  /** The leaves that are wanted of the chunk that is coming in. */
  #wanted: ReadonlySet<number> = new Set();
  #isFinishing = false;
  /** Whether the sink is making the tensor final: what happens to the link does not matter any more. */
  #isCommitting = false;
  /** Whether the next step is this end's; the sender is not to blame for it. */
  #isOurTurn = false;
  readonly #watch: StallWatch;
  #giveBack: () => void = () => {};
  /** Chunks and leaves between their arrival and their being safe. */
  #busy = 0;
  /** Asynchronous codecs and digests keep the order through this. */
  #tail: Promise<void> | undefined;
  #isOver = false;

  constructor(options: ReceivingOptions) {
    this.#options = options;
    this.stream = options.pushed?.stream ?? options.channel.add(this);
    this.#query = new DigestQuery(options.channel, this.stream);
    const { clock, limits } = options.context;
    this.#watch = new StallWatch({
      clock,
      timeoutMs: limits.stallTimeoutMs,
      isWaiting: () => this.#busy === 0 && !this.#isOurTurn,
      onStall: () =>
        this.#giveUp(
          new TransportError(`The transfer stood still for ${limits.stallTimeoutMs} ms`),
        ),
    });
    if (options.pushed) this.#begin(options.pushed.offer);
  }

  /** Fulfils when the tensor is verified and committed; rejects when the attempt failed. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** The tensor's root, once it is verified. */
  get root(): Uint8Array | undefined {
    return this.#root;
  }

  /** Ends the attempt from this end, and tells the other why. What is verified is kept. */
  cancel(reason: unknown): void {
    this.#giveUp(reason);
  }

  fail(error: unknown): void {
    if (this.#isOver || this.#isCommitting) return;
    this.#isOver = true;
    const over = () => this.#done.reject(error);
    this.#letGo().then(over, over);
  }

  async #letGo(): Promise<void> {
    this.#watch.stop();
    this.#giveBack();
    await this.#sink?.release();
  }

  #giveUp(error: unknown): void {
    if (this.#isOver) return;
    const { channel } = this.#options;
    this.fail(error);
    if (error instanceof ProtocolError) channel.link.close(error);
    else channel.refuse(this.stream, error);
  }

  /** Runs work whose failure ends the attempt. */
  #guard(work: () => void | Promise<void>): void {
    try {
      work()?.catch((error) => this.#giveUp(error));
    } catch (error) {
      this.#giveUp(error);
    }
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    this.#watch.heard();
    switch (header.type) {
      case FRAME.offer:
        if (this.#isOffered) throw new ProtocolError("The peer offered twice");
        this.#begin(decodeMessage("offer", header, payload));
        return;
      case FRAME.digests:
        this.#heardDigests(header, decodeChecked(header, payload));
        return;
      case FRAME.complete:
        this.#heardComplete(decodeMessage("complete", header, payload));
        return;
      case FRAME.phase:
        this.#options.onPhase?.(decodeMessage("phase", header, payload).phase);
        return;
      default:
        throw new ProtocolError(`A receiver cannot take a ${frameName(header.type)} frame`);
    }
  }

  chunk(head: ChunkHead, dataBytes: number): void {
    const open = this.#opened();
    if (!open.chunks.isOpen) this.#wanted = open.ledger.admit(head, open.offer.chunkBytes);
    open.chunks.begin(head, dataBytes);
  }

  chunkData(bytes: Uint8Array): void {
    this.#watch.heard();
    const chunk = this.#opened().chunks.data(bytes);
    if (!chunk) return;
    this.#options.meter.moved(chunk.bytes.byteLength);
    this.#busy++;
    const wanted = this.#wanted;
    this.#inOrder(() => this.#decode(chunk, wanted));
  }

  #opened(): Open {
    if (this.#open) return this.#open;
    throw new ProtocolError("The peer went on before its offer was accepted");
  }

  #begin(offer: Offer): void {
    this.#isOffered = true;
    this.#isOurTurn = true;
    this.#guard(async () => {
      const { context, channel, meter, digest } = this.#options;
      checkBounds(offer, digest, context);
      const { byteLength } = offer.descriptor;
      this.#leafTotal = leafCount(byteLength);
      const sink = await this.#options.open(offer);
      this.#sink = sink;
      if (this.#isOver) return sink.release();
      const windowBytes = Math.max(
        context.limits.transferWindowBytes,
        2 * Math.max(offer.chunkBytes, LEAF_BYTES),
      );
      const ledger = new LeafLedger(byteLength, windowBytes, context.maxRefetches);
      const keep = await this.#stillValid(offer, sink);
      await sink.begin(offer.version, keep);
      for (const leaf of keep) ledger.keep(leaf, false);
      if (!this.#options.isReaderPaced) {
        const missingBytes = (this.#leafTotal - keep.length) * LEAF_BYTES;
        this.#giveBack = await channel.pace.incoming.take(Math.min(windowBytes, missingBytes));
      }
      if (this.#isOver) return this.#giveBack();
      const buffers = new LeafBuffers(byteLength, sink, context.buffers);
      const chunks = new ChunkCollector(offer.codecs, (head) => buffers.allocate(head));
      this.#open = { offer, sink, ledger, buffers, chunks, leaves: new LeafCollector(byteLength) };
      let heldBytes = 0;
      for (const leaf of keep) heldBytes += leafLength(leaf.index, byteLength);
      meter.began(byteLength, heldBytes);
      if (keep.length > 0) {
        for (const frame of haveFrames(this.stream, ledger.safe, false)) channel.link.send(frame);
      }
      const limit = ledger.grant() ?? 0;
      channel.link.send(encodeMessage("accept", this.stream, { limit }));
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
    const ledger = new LeafLedger(offer.descriptor.byteLength, 0, 0);
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
      this.#query.heard(page, this.#leafTotal, (header.flags & FLAG_LAST) !== 0);
      return;
    }
    this.#opened();
    for (const [n, digest] of page.digests.entries()) {
      const index = page.firstLeaf + n;
      if (index >= this.#leafTotal || this.#expected.size > MAX_EXPECTED) {
        throw new ProtocolError(
          `The peer sent the digest of leaf ${index}, which is not on its way`,
        );
      }
      this.#expected.set(index, digest);
    }
  }

  /** Runs a step after the steps before it, at once where those are over. */
  #inOrder(step: () => void | Promise<void>): void {
    const run = (): void | Promise<void> => (this.#isOver ? undefined : step());
    if (this.#tail) {
      this.#follow(this.#tail.then(run));
      return;
    }
    this.#guard(() => {
      const result = run();
      if (result) this.#follow(result);
    });
  }

  #follow(work: Promise<void>): void {
    const tail: Promise<void> = work
      .catch((error) => this.#giveUp(error))
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
  }

  #decode(chunk: TensorChunk, wanted: ReadonlySet<number>): void | Promise<void> {
    const { codecs } = this.#options.context;
    if (chunk.byteOffset % LEAF_BYTES === 0) for (const leaf of wanted) this.#damaged.delete(leaf);
    const take = (bytes: Uint8Array) => this.#take({ ...chunk, codec: "none", bytes }, wanted);
    const damaged = (error: unknown) => this.#chunkDamaged(wanted, error);
    let raw: Uint8Array | Promise<Uint8Array>;
    try {
      raw = decodeChunk(chunk.bytes, chunk.codec, chunk.rawBytes, { codecs });
    } catch (error) {
      return damaged(error);
    }
    return raw instanceof Promise ? raw.then(take, damaged) : take(raw);
  }

  #take(chunk: TensorChunk, wanted: ReadonlySet<number>): Promise<void> | undefined {
    const { leaves, buffers } = this.#opened();
    const { byteOffset } = chunk;
    try {
      // Where the leaf's digest will tell the same and more, the checksum is not looked at.
      if (this.#options.digest === "none") verifyChecksum(chunk);
    } catch (error) {
      this.#chunkDamaged(wanted, error);
      return undefined;
    }
    let whole: WholeLeaf[] = [];
    if (!this.#damaged.has(Math.floor(byteOffset / LEAF_BYTES))) {
      const placed = buffers.place(byteOffset, chunk.bytes);
      whole = leaves.add(byteOffset, placed).filter((leaf) => wanted.has(leaf.index));
    }
    this.#busy += whole.length;
    this.#lessBusy();
    let last: Promise<void> | undefined;
    for (const leaf of whole) {
      last = last ? last.then(() => this.#verify(leaf)) : this.#verify(leaf);
    }
    return last;
  }

  #verify(leaf: WholeLeaf): Promise<void> | undefined {
    const { context, digest: mode } = this.#options;
    const bytes = this.#opened().buffers.whole(leaf.index, leaf.parts);
    if (mode === "none") {
      this.#store({ index: leaf.index, digest: NO_DIGEST }, bytes);
      return undefined;
    }
    const digest = context.sha256([bytes]);
    const judge = (found: Uint8Array): void => {
      const wanted = this.#expected.get(leaf.index);
      this.#expected.delete(leaf.index);
      if (!wanted) throw new ProtocolError(`The peer sent leaf ${leaf.index} without its digest`);
      if (equalBytes(found, wanted)) {
        this.#store({ index: leaf.index, digest: found }, bytes);
        return;
      }
      this.#refetch([leaf.index], `Leaf ${leaf.index} does not match its digest`);
      this.#lessBusy();
    };
    if (digest instanceof Promise) return digest.then(judge);
    judge(digest);
    return undefined;
  }

  #store(leaf: LeafDigest, bytes: Uint8Array): void {
    const { sink, ledger, buffers } = this.#opened();
    sink.write(leaf, bytes).then(
      () => {
        buffers.free(leaf.index);
        if (this.#isOver) return;
        this.#expected.delete(leaf.index);
        ledger.keep(leaf, true);
        this.#options.meter.verified(bytes.byteLength);
        this.#tellCredit();
        this.#lessBusy();
      },
      (error) => this.#giveUp(error),
    );
  }

  #tellCredit(): void {
    const { link } = this.#options.channel;
    const { ledger } = this.#opened();
    const limit = ledger.grant();
    if (limit === undefined && !ledger.isAckDue) return;
    const safe = ledger.takeUnacknowledged();
    for (const frame of rangeFrames("ack", this.stream, safe)) link.send(frame);
    if (limit === undefined) return;
    link.send(encodeChecked(FRAME.credit, this.stream, encodeNumber(limit)));
  }

  #chunkDamaged(wanted: ReadonlySet<number>, error: unknown): void {
    if (!(error instanceof IntegrityError)) throw error;
    const leaves = [...wanted].filter((leaf) => !this.#damaged.has(leaf));
    for (const leaf of leaves) {
      this.#damaged.add(leaf);
      this.#opened().leaves.drop(leaf);
    }
    if (leaves.length > 0) this.#refetch(leaves, error.message);
    this.#lessBusy();
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
    // The sender says once more that it is done when it has sent these.
    this.#complete = undefined;
    const { link } = this.#options.channel;
    for (const frame of rangeFrames("refetch", this.stream, rangesOf(leaves))) link.send(frame);
  }

  #heardComplete(complete: Complete): void {
    const { ledger } = this.#opened();
    if (this.#complete || this.#isFinishing) {
      throw new ProtocolError("The peer said twice that it is done");
    }
    // Said before the sender learnt what is to be sent again; another one will follow that.
    if (ledger.isAwaitingAgain) return;
    this.#complete = complete;
    this.#guard(() => this.#finishWhenWhole());
  }

  /** A chunk or a leaf has come to where it goes. */
  #lessBusy(): void {
    this.#busy--;
    this.#guard(() => this.#finishWhenWhole());
  }

  async #finishWhenWhole(): Promise<void> {
    if (!this.#complete || this.#busy > 0 || !this.#open || this.#isOver || this.#isFinishing)
      return;
    const { ledger, sink, offer } = this.#open;
    if (!ledger.isFull) {
      throw new ProtocolError(
        `The peer says it is done, but leaf ${ledger.safe.firstMissing()} never came`,
      );
    }
    const { root, version } = this.#complete;
    this.#complete = undefined;
    this.#isFinishing = true;
    this.#isOurTurn = true;
    const address = formatAddress(offer.address);
    if (!equalBytes(version, offer.version)) {
      throw new IntegrityError("source", `${address} changed while it was sent`, { address });
    }
    if (offer.digest !== "none") {
      const { context } = this.#options;
      const ours = await tensorRoot(offer.descriptor, ledger.digests, context.sha256);
      if (!root || !equalBytes(ours, root)) return this.#mend(address);
    }
    if (this.#isOver) return;
    this.#isCommitting = true;
    this.#watch.stop();
    try {
      await sink.commit(root);
    } finally {
      this.#isCommitting = false;
    }
    this.#root = root;
    this.#isOver = true;
    const { channel } = this.#options;
    channel.remove(this.stream);
    channel.link.send(encodeMessage("receipt", this.stream, { complete: true }));
    await this.#letGo();
    this.#done.resolve();
  }

  /** The root differs: finds the leaves that do, and fetches those again. */
  async #mend(address: string): Promise<void> {
    const { ledger, sink, offer } = this.#opened();
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
    this.#refetch([...differing], "The tensor's root does not match");
  }
}

/** @throws {ProtocolError | LimitError} for an offer that is not to be taken, before a sink is opened. */
function checkBounds(offer: Offer, digest: DigestMode, context: SessionContext): void {
  if (offer.chunkBytes > context.limits.maxChunkBytes || offer.digest !== digest) {
    throw new ProtocolError(
      `The peer offered chunks of ${offer.chunkBytes} bytes with digest ${offer.digest}`,
    );
  }
  const { byteLength } = offer.descriptor;
  const maxBytes = context.streaming ? context.limits.maxTensorBytes : MAX_CHUNK_BYTES;
  if (byteLength <= maxBytes) return;
  throw new LimitError(`The peer offered ${byteLength} bytes; at most ${maxBytes} are taken`);
}
