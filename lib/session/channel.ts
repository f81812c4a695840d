// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import { CompressionGovernor } from "../codec/governor.ts";
import { LimitError, ProtocolError, TransportError } from "../errors.ts";
import type { FrameLane } from "../streams/frame_lane.ts";
import type { FrameLink, LinkHandler } from "../streams/frame_link.ts";
import type { Drained } from "../streams/in_flight.ts";
import { IncomingCredit } from "../streams/incoming_credit.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import { decodeMessage, encodeChecked, encodeMessage } from "../wire/control.ts";
import { errorOf, faultOf } from "../wire/fault.ts";
import { FLAG_AGAIN, FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import { encodeNumber } from "../wire/pages.ts";
import { encodeReceipts, type StreamRun } from "../wire/receipts.ts";
import { decodeTensorFrame, type TensorFrame } from "../wire/tensor_frame.ts";
import { faultShape } from "../wire/transfer_shapes.ts";
import { type Flow, Outbox } from "./outbox.ts";
import { ReadAhead } from "./read_ahead.ts";
import { ReaderBudget } from "./reader_budget.ts";
import type { Claim, Scheduler } from "./scheduler.ts";
import { streamsIn } from "./streams_in.ts";

/** One end of one stream of a connection, or of several: a transfer's attempt, or a listing. */
export interface StreamParty {
  frame(header: FrameHeader, payload: Uint8Array): void;
  chunk?(head: ChunkHead, dataBytes: number, isAgain: boolean): void;
  chunkData?(bytes: Uint8Array): void;
  /** A whole tensor came; its bytes are valid during the call only. */
  tensor?(stream: number, tensor: TensorFrame): void;
  /** The other end has taken the tensor that was sent in one frame. */
  receipt?(stream: number): void;
  /** The stream is over because of this; nothing more will come. */
  fail(error: unknown, stream: number): void;
  /** What still goes on here for a stream that is over; it takes its place until then. */
  work?(stream: number): Promise<unknown> | undefined;
}

/** Takes what the other end began, by `took` or `tookList`; ends the connection by throwing. */
export type StreamOpener = (
  channel: Channel,
  header: FrameHeader,
  payload: Uint8Array,
  tensor?: TensorFrame,
) => void;

/** What a {@linkcode Channel} is made with. */
export interface ChannelOptions {
  readonly isDialler: boolean;
  readonly clock: Clock;
  /** Streams that the other end may have open at once, entries of request lists not counted. */
  readonly maxStreams: number;
  /** Entries of request lists that the other end may have open at once. */
  readonly maxRequests: number;
  /** What may be here of chunks that nobody has consumed. */
  readonly windowBytes: number;
  /** Makes the scheduler of what is read, and of what is sent. */
  readonly scheduler: () => Scheduler<Claim>;
  readonly open: StreamOpener;
  /** The last stream number; default 2^32 - 1. */
  readonly lastStream?: number;
}

const MAX_STREAM = 0xffffffff;
/** Frames that may begin a stream. */
const BEGINNERS = new Set<number>([
  FRAME.request,
  FRAME.offer,
  FRAME.tensor,
  FRAME.requests,
  FRAME.list,
  FRAME.subscribe,
]);

/**
 * The streams of one connection: numbers them, hands each frame to its party, and ends them all
 * when the link does. Frames for a stream that is over are late and dropped. Here is also what the
 * streams share: the way out, and the credit for what comes in.
 */
export class Channel implements LinkHandler {
  readonly #options: ChannelOptions;
  readonly #parties = new Map<number, StreamParty>();
  /** Parties of this end that have no stream yet. */
  readonly #enlisted = new Set<StreamParty>();
  readonly incoming: IncomingCredit;
  readonly readers: ReaderBudget;
  readonly governor: CompressionGovernor = new CompressionGovernor();
  readonly clock: Clock;
  #link: FrameLink | undefined;
  #outbox: Outbox | undefined;
  #readAhead: ReadAhead | undefined;
  #ended: { readonly error: unknown } | undefined;
  #isWantedThere = false;
  #nextStream: number;
  #lastRemoteStream = 0;
  /** The stream of the CHUNK frame that began last, for each lane. */
  readonly #chunkStreams: number[] = [];
  /** Transfers and listings that the other end began one by one. */
  readonly #remote = new Set<number>();
  /** Entries of request lists that are open. */
  #listed = 0;
  /** Of both, those that are over while work for them goes on. */
  readonly #leaving = { transfers: 0, entries: 0 };
  /** Streams whose tensors were taken, and of which that is not said yet. */
  #taken: number[] = [];

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.#nextStream = options.isDialler ? 1 : 2;
    this.incoming = new IncomingCredit(options.windowBytes);
    this.readers = new ReaderBudget(() => this.incoming.windowBytes);
  }

  /** Called by the link when it begins. */
  attach(link: FrameLink): void {
    const { clock, scheduler } = this.#options;
    this.#link = link;
    this.#outbox = new Outbox(clock, scheduler() as Scheduler<Flow>);
    this.lane(link.first);
    const readAhead = new ReadAhead(scheduler(), link.credit, clock);
    this.#readAhead = readAhead;
    link.credit.onRaise = () => readAhead.look();
    const end = (error?: unknown) => {
      const parties = [...this.#parties];
      this.#isWantedThere = this.#remote.size > 0 || this.#listed > 0;
      this.#parties.clear();
      this.#ended = { error: error ?? new TransportError("The peer said goodbye") };
      for (const [stream, party] of parties) party.fail(this.#ended.error, stream);
      for (const party of [...this.#enlisted]) party.fail(this.#ended.error, 0);
    };
    link.closed.then(() => end(), end);
  }

  /** A lane may be written to. */
  lane(lane: FrameLane): void {
    const { link, outbox } = this;
    outbox.addLane(lane, () => link.isOver);
  }

  /** The link under this channel. */
  get link(): FrameLink {
    return made(this.#link);
  }

  /** The way out for data. */
  get outbox(): Outbox {
    return made(this.#outbox);
  }

  /** Who may read and encode next. */
  get readAhead(): ReadAhead {
    return made(this.#readAhead);
  }

  /** Whether streams of the other end were open when the link ended. */
  get isWantedThere(): boolean {
    return this.#isWantedThere;
  }

  /** Streams that are open now. */
  get size(): number {
    return this.#parties.size;
  }

  /**
   * Gives a party of this end its stream number, at once before its first frame is sent.
   *
   * @param count Numbers in a row, two apart; the first is returned.
   * @throws what the link ended with, if it has; that is where numbers run out as well.
   */
  add(party: StreamParty, count = 1): number {
    if (this.#ended) throw this.#ended.error;
    const first = this.#nextStream;
    if (first + 2 * (count - 1) > (this.#options.lastStream ?? MAX_STREAM)) {
      const error = new TransportError("The connection has no stream numbers left");
      this.link.close(error);
      throw error;
    }
    this.#nextStream += 2 * count;
    for (let stream = first; stream < this.#nextStream; stream += 2) {
      this.#parties.set(stream, party);
    }
    return first;
  }

  /**
   * A party that has no stream yet is told as well when the link ends.
   *
   * @throws what the link ended with, if it has.
   */
  enlist(party: StreamParty): void {
    if (this.#ended) throw this.#ended.error;
    this.#enlisted.add(party);
  }

  /** The party has a stream by now, or is over. */
  delist(party: StreamParty): void {
    this.#enlisted.delete(party);
  }

  /** The stream is over for this end; later frames of it are dropped. */
  remove(stream: number): void {
    const party = this.#parties.get(stream);
    this.#parties.delete(stream);
    if (!party || this.#isOwn(stream)) return;
    const kind = this.#remote.delete(stream) ? "transfers" : "entries";
    if (kind === "entries") this.#listed--;
    const work = party.work?.(stream);
    if (!work) return;
    const over = () => {
      this.#leaving[kind]--;
    };
    this.#leaving[kind]++;
    work.then(over, over);
  }

  /** Tells the other end that this stream failed here, or is not wanted any more, and ends it. */
  refuse(stream: number, error: unknown): void {
    this.remove(stream);
    const fault = faultOf(error);
    const kind = fault.code === "cancelled" ? "cancel" : "error";
    this.link.send(encodeMessage(kind, stream, fault));
  }

  /** The tensor of this stream came in one frame and is safe; said together with others. */
  confirm(stream: number): void {
    this.remove(stream);
    this.#taken.push(stream);
    if (this.#taken.length > 1) return;
    queueMicrotask(() => {
      const taken = this.#taken;
      this.#taken = [];
      for (const body of encodeReceipts(taken)) {
        this.link.send(encodeChecked(FRAME.receipts, 0, body));
      }
    });
  }

  /** So many bytes of chunks are done with; tells the other end where that is worth it. */
  consumed(bytes: number): void {
    if (bytes === 0) return;
    this.incoming.consumed(bytes);
    this.tellCredit();
  }

  /** Tells the other end what it may send in all, where that has grown enough. */
  tellCredit(): void {
    const limitBytes = this.incoming.grant();
    if (limitBytes === undefined) return;
    this.link.send(encodeChecked(FRAME.credit, 0, encodeNumber(limitBytes)));
  }

  drained({ bytes, elapsedMs }: Drained): void {
    this.governor.drained(bytes, elapsedMs);
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    const { stream, type } = header;
    const party = this.#parties.get(stream);
    if (type === FRAME.tensor) {
      this.#tensor(party, header, payload);
    } else if (!party) {
      if (this.#isNew(header)) this.#accept(header, payload);
    } else if (type === FRAME.error || type === FRAME.cancel) {
      const fault = decodeMessage(faultShape, header, payload);
      this.remove(stream);
      party.fail(errorOf(fault), stream);
    } else {
      party.frame(header, payload);
    }
  }

  #tensor(party: StreamParty | undefined, header: FrameHeader, payload: Uint8Array): void {
    const tensor = decodeTensorFrame(payload);
    this.incoming.heard(tensor.descriptor.byteLength);
    if (party) {
      if (!party.tensor || tensor.push) {
        throw new ProtocolError("The peer sent a tensor that nobody asked for");
      }
      party.tensor(header.stream, tensor);
    } else if (!this.#isNew(header) || !this.#accept(header, payload, tensor)) {
      this.consumed(tensor.descriptor.byteLength);
    }
  }

  chunk(header: FrameHeader, head: ChunkHead, dataBytes: number, lane: number): void {
    const party = this.#parties.get(header.stream);
    if (!party && this.#isNew(header))
      throw new ProtocolError("A stream cannot begin with a chunk");
    if (party && !party.chunk)
      throw new ProtocolError("The peer sent a chunk that nobody asked for");
    this.#chunkStreams[lane] = header.stream;
    const isAgain = (header.flags & FLAG_AGAIN) !== 0;
    const usesCredit = head.fragmentOffset === 0 && !isAgain;
    if (usesCredit) this.incoming.heard(head.rawBytes);
    if (party) party.chunk?.(head, dataBytes, isAgain);
    else if (usesCredit) this.consumed(head.rawBytes);
  }

  chunkData(bytes: Uint8Array, lane: number): void {
    this.#parties.get(this.#chunkStreams[lane] ?? 0)?.chunkData?.(bytes);
  }

  receipts(runs: readonly StreamRun[]): void {
    for (const { first, count } of runs) {
      const last = first + 2 * (count - 1);
      const isBegun = this.#isOwn(first) ? last < this.#nextStream : last <= this.#lastRemoteStream;
      if (isBegun) continue;
      throw new ProtocolError(`The peer confirmed stream ${last}, which was not begun`);
    }
    for (const stream of streamsIn(runs, this.#parties)) this.#confirmed(stream);
  }

  #confirmed(stream: number): void {
    const party = this.#parties.get(stream);
    if (!party) return;
    if (!party.receipt) {
      throw new ProtocolError(`The peer confirmed stream ${stream}, which has sent no tensor`);
    }
    // One that cannot be fails the party with all others.
    party.receipt(stream);
    this.remove(stream);
  }

  /** Whether the frame may begin a stream; one that belongs to a retired stream may not. */
  #isNew(header: FrameHeader): boolean {
    const isOwn = this.#isOwn(header.stream);
    if (isOwn && header.stream >= this.#nextStream) {
      const why = this.#nextStream <= 2 ? ": one of two ends must be made with accepted: true" : "";
      throw new ProtocolError(
        `The peer used stream ${header.stream}, which this end did not begin${why}`,
      );
    }
    return !isOwn && header.stream > this.#lastRemoteStream;
  }

  /** Whether the number is one of those that this end gives. */
  #isOwn(stream: number): boolean {
    return (stream % 2 === 1) === this.#options.isDialler;
  }

  /** The party of a stream that the other end has begun; may end it from now on. */
  took(stream: number, party: StreamParty): void {
    this.#parties.set(stream, party);
    this.#remote.add(stream);
  }

  /**
   * The party of streams that the other end has begun in one frame, this one and those that follow.
   *
   * @throws {ProtocolError} when there are no numbers for so many.
   * @throws {LimitError} when that are more than it was allowed.
   */
  tookList(header: FrameHeader, count: number, party: StreamParty): void {
    const { maxRequests } = this.#options;
    const last = header.stream + 2 * (count - 1);
    if (last > MAX_STREAM) {
      throw new ProtocolError(`The peer sent a list whose last stream would be ${last}`);
    }
    this.#listed += count;
    if (this.#listed > maxRequests || this.#leaving.entries > maxRequests) {
      const askedFor = this.#listed + this.#leaving.entries;
      throw new LimitError(
        `The peer has ${askedFor} requests of lists open; at most ${maxRequests} are taken`,
      );
    }
    this.#lastRemoteStream = last;
    for (let n = 0; n < count; n++) this.#parties.set(header.stream + 2 * n, party);
  }

  #accept(header: FrameHeader, payload: Uint8Array, tensor?: TensorFrame): boolean {
    const { stream, type } = header;
    if (!BEGINNERS.has(type)) {
      throw new ProtocolError(`A stream cannot begin with a ${frameName(type)} frame`);
    }
    this.#lastRemoteStream = stream;
    const { maxStreams, open } = this.#options;
    const isFull = this.#remote.size >= maxStreams || this.#leaving.transfers >= maxStreams;
    if (isFull && type !== FRAME.requests) {
      const most = `at most ${maxStreams} transfers may be open on a connection`;
      this.refuse(stream, new LimitError(most, { retryable: true }));
      return false;
    }
    open(this, header, payload, tensor);
    return true;
  }
}

function made<T>(thing: T | undefined): T {
  if (thing === undefined) throw new TypeError("The channel has no link yet");
  return thing;
}
