// This module runs in every runtime.
import { LimitError, ProtocolError, TransportError } from "../errors.ts";
import type { FrameLink, LinkHandler } from "../streams/frame_link.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";
import { decodeMessage, encodeMessage } from "../wire/control.ts";
import { errorOf, faultOf } from "../wire/fault.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Pace } from "./pace.ts";

/** One end of one stream of a connection: a transfer's attempt, or a listing. */
export interface StreamParty {
  frame(header: FrameHeader, payload: Uint8Array): void;
  chunk?(head: ChunkHead, dataBytes: number): void;
  chunkData?(bytes: Uint8Array): void;
  /** The stream is over because of this; nothing more will come. */
  fail(error: unknown): void;
}

/** Opens the party for a stream that the other end began, or refuses by throwing. */
export type StreamOpener = (
  channel: Channel,
  header: FrameHeader,
  payload: Uint8Array,
) => StreamParty;

/**
 * The streams of one connection: numbers them, hands each frame to its party, and ends them all
 * when the link does. Frames for a stream that is over are late and dropped.
 */
export class Channel implements LinkHandler {
  readonly #open: StreamOpener;
  readonly #maxStreams: number;
  readonly #parties = new Map<number, StreamParty>();
  readonly #isDialler: boolean;
  /** How this end keeps step with the link. */
  readonly pace: Pace;
  #link: FrameLink | undefined;
  #ended: { readonly error: unknown } | undefined;
  #nextStream: number;
  #lastRemoteStream = 0;
  /** The stream of the CHUNK frame that began last. */
  #chunkStream = 0;

  constructor(isDialler: boolean, maxStreams: number, pace: Pace, open: StreamOpener) {
    this.pace = pace;
    this.#isDialler = isDialler;
    this.#nextStream = isDialler ? 1 : 2;
    this.#maxStreams = maxStreams;
    this.#open = open;
  }

  /** Called by the link when it begins. */
  attach(link: FrameLink): void {
    this.#link = link;
    const end = (error?: unknown) => {
      const parties = [...this.#parties.values()];
      this.#parties.clear();
      this.#ended = { error: error ?? new TransportError("The peer said goodbye") };
      for (const party of parties) party.fail(this.#ended.error);
    };
    link.closed.then(() => end(), end);
  }

  /** The link under this channel. */
  get link(): FrameLink {
    if (!this.#link) throw new TypeError("The channel has no link yet");
    return this.#link;
  }

  /** Streams that are open now. */
  get size(): number {
    return this.#parties.size;
  }

  /**
   * Gives a party of this end its stream number, at once before its first frame is sent.
   *
   * @throws what the link ended with, if it has.
   */
  add(party: StreamParty): number {
    if (this.#ended) throw this.#ended.error;
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#parties.set(stream, party);
    return stream;
  }

  /** The stream is over for this end; later frames of it are dropped. */
  remove(stream: number): void {
    this.#parties.delete(stream);
  }

  /** Tells the other end that this stream failed here, and ends it. */
  refuse(stream: number, error: unknown): void {
    this.remove(stream);
    this.link.send(encodeMessage("error", stream, faultOf(error)));
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    const party = this.#parties.get(header.stream);
    if (header.type === FRAME.error || header.type === FRAME.cancel) {
      const fault = decodeMessage("error", header, payload);
      this.remove(header.stream);
      party?.fail(errorOf(fault));
    } else if (party) {
      party.frame(header, payload);
    } else if (this.#isNew(header)) {
      this.#accept(header, payload);
    }
  }

  chunk(header: FrameHeader, head: ChunkHead, dataBytes: number): void {
    const party = this.#parties.get(header.stream);
    if (!party && this.#isNew(header))
      throw new ProtocolError("A stream cannot begin with a chunk");
    if (party && !party.chunk)
      throw new ProtocolError("The peer sent a chunk that nobody asked for");
    this.#chunkStream = header.stream;
    party?.chunk?.(head, dataBytes);
  }

  chunkData(bytes: Uint8Array): void {
    this.#parties.get(this.#chunkStream)?.chunkData?.(bytes);
  }

  /** Whether the frame may begin a stream; one that belongs to a retired stream may not. */
  #isNew(header: FrameHeader): boolean {
    const isRemote = (header.stream % 2 === 1) !== this.#isDialler;
    if (!isRemote && header.stream >= this.#nextStream) {
      throw new ProtocolError(
        `The peer used stream ${header.stream}, which this end did not begin`,
      );
    }
    return isRemote && header.stream > this.#lastRemoteStream;
  }

  #accept(header: FrameHeader, payload: Uint8Array): void {
    const { stream, type } = header;
    if (type !== FRAME.request && type !== FRAME.offer && type !== FRAME.list) {
      throw new ProtocolError(`A stream cannot begin with a ${frameName(type)} frame`);
    }
    this.#lastRemoteStream = stream;
    if (this.#parties.size >= this.#maxStreams) {
      const most = `at most ${this.#maxStreams} transfers may be open on a connection`;
      this.refuse(stream, new LimitError(most, { retryable: true }));
      return;
    }
    this.#parties.set(stream, this.#open(this, header, payload));
  }
}
