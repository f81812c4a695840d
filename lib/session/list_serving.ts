// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorStore } from "../tensor/source.ts";
import { encodeMessage } from "../wire/control.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Hello } from "../wire/messages.ts";
import type { RequestList } from "../wire/request_list.ts";
import { encodeTensorFront } from "../wire/tensor_frame.ts";
import type { Channel, StreamParty } from "./channel.ts";
import type { Flow, Piece } from "./outbox.ts";
import type { GiveBack } from "./read_ahead.ts";
import { type Claim, createClaim } from "./scheduler.ts";
import type { SessionContext } from "./session_context.ts";
import { isSmall, prepareSmall } from "./small_sending.ts";
import { ASK_SINGLY } from "./tensor_list.ts";

/** What a {@linkcode ListServing} answers, and from where. */
export interface ListServingOptions {
  readonly channel: Channel;
  readonly context: SessionContext;
  readonly store: TensorStore;
  readonly list: RequestList;
  /** The first entry's stream; the others follow, two apart. */
  readonly firstStream: number;
}

/** Entries that are opened and read at once: files take a while, memory does not. */
const AT_ONCE = 8;

/** Answers a request list: each entry in one frame, as they become ready. */
export class ListServing implements StreamParty, Flow {
  priority: number;
  servedBytes = 0;
  waitingSinceMs = 0;
  lane?: number;
  readonly #options: ListServingOptions;
  readonly #queue: { readonly stream: number; readonly piece: Piece }[] = [];
  /** Streams that are open at both ends. */
  readonly #open = new Set<number>();
  readonly #sent = new Set<number>();
  /** Entries that are opened, read or waiting for a place at the moment. */
  readonly #working = new Map<number, Promise<void>>();
  readonly #purses = new Set<Purse>();
  #next = 0;

  constructor(options: ListServingOptions) {
    this.#options = options;
    this.priority = options.list.priority;
    for (let n = 0; n < options.list.addresses.length; n++) {
      this.#open.add(options.firstStream + 2 * n);
    }
  }

  /** Begins to answer. */
  begin(): void {
    const workers = Math.min(AT_ONCE, this.#options.list.addresses.length);
    for (let n = 0; n < workers; n++) void this.#serve();
  }

  work(stream: number): Promise<void> | undefined {
    return this.#working.get(stream);
  }

  async #serve(): Promise<void> {
    const { list, firstStream, channel } = this.#options;
    const { addresses } = list;
    const purse = new Purse(channel, createClaim(this.priority));
    this.#purses.add(purse);
    const remote = await channel.link.remoteHello.catch(() => undefined);
    while (this.#next < addresses.length && this.#open.size > 0 && remote) {
      const n = this.#next++;
      const stream = firstStream + 2 * n;
      if (!this.#open.has(stream)) continue;
      const working = this.#serveOne(addresses[n] as TensorAddress, stream, purse, remote);
      this.#working.set(stream, working);
      try {
        await working;
      } catch (error) {
        if (this.#open.delete(stream)) channel.refuse(stream, error);
      }
      this.#working.delete(stream);
    }
    purse.close();
    this.#purses.delete(purse);
  }

  async #serveOne(
    address: TensorAddress,
    stream: number,
    purse: Purse,
    remote: Hello,
  ): Promise<void> {
    const { channel, context, store, list } = this.#options;
    const source = await store.open(address);
    try {
      if (!isSmall(source)) {
        this.#askSingly(stream, source.descriptor.byteLength);
        return;
      }
      const { byteLength } = source.descriptor;
      const version = await source.version();
      const onWritten = purse.spend(byteLength) ?? (await purse.fill(byteLength));
      let isQueued = false;
      try {
        // What was taken for one that nobody wants any more stays taken until the purse is closed.
        if (!this.#open.has(stream)) return;
        const { digest } = list;
        const small = { channel, context, source, address, digest, remote };
        const tensor = await prepareSmall(small, version);
        if (!this.#open.has(stream)) return;
        const front = encodeTensorFront(stream, tensor);
        this.#queue.push({ stream, piece: { front, data: tensor.data, onWritten } });
        isQueued = true;
      } finally {
        if (!isQueued) onWritten();
      }
      channel.outbox.enter(this);
    } finally {
      if (source.close) await source.close();
    }
  }

  #askSingly(stream: number, byteLength: number): void {
    const { channel } = this.#options;
    this.#open.delete(stream);
    channel.remove(stream);
    const message = `a tensor of ${byteLength} bytes does not fit into one frame`;
    const fault = { code: ASK_SINGLY, retryable: false, message };
    channel.link.send(encodeMessage("error", stream, fault));
  }

  take(): Piece | undefined {
    const next = this.#queue.shift();
    if (next && this.#open.has(next.stream)) this.#sent.add(next.stream);
    return next?.piece;
  }

  takeSmall(mostBytes: number): Piece | undefined {
    const isSmall = (this.#queue[0]?.piece.data?.byteLength ?? mostBytes + 1) <= mostBytes;
    return isSmall ? this.take() : undefined;
  }

  frame(header: FrameHeader): void {
    if (header.type === FRAME.reprioritise) return;
    throw new ProtocolError(`The peer sent a ${frameName(header.type)} frame about a list`);
  }

  receipt(stream: number): void {
    if (!this.#sent.delete(stream)) {
      throw new ProtocolError(`The peer confirmed stream ${stream} before anything was sent on it`);
    }
    this.#open.delete(stream);
  }

  fail(_error: unknown, stream: number): void {
    this.#open.delete(stream);
    this.#sent.delete(stream);
    // Whoever waits for a place, or for credit that may never come, holds its source open.
    if (this.#open.size === 0) for (const purse of this.#purses) purse.leave();
  }
}

/** What a purse is filled with, unless one tensor takes more. */
const PURSE_BYTES = 64 * 1024;

/** A place and credit for several small tensors: asking for each would cost more than the tensor. */
class Purse {
  readonly #channel: Channel;
  readonly #claim: Claim;
  #leftBytes = 0;
  #part: { giveBack: GiveBack; users: number; isClosed: boolean; unusedBytes: number } | undefined;

  constructor(channel: Channel, claim: Claim) {
    this.#channel = channel;
    this.#claim = claim;
  }

  /** Takes so much from what is there; what comes back is to be called once that is written. */
  spend(bytes: number): (() => void) | undefined {
    const part = this.#part;
    if (!part || bytes > this.#leftBytes) return undefined;
    this.#leftBytes -= bytes;
    part.users++;
    return () => {
      part.users--;
      if (part.isClosed && part.users === 0) part.giveBack(part.unusedBytes);
    };
  }

  /** As `spend`, once there is a new place. */
  async fill(bytes: number): Promise<() => void> {
    this.close();
    const wanted = Math.max(bytes, PURSE_BYTES);
    const giveBack = await this.#channel.readAhead.take(this.#claim, wanted, wanted);
    this.#part = { giveBack, users: 0, isClosed: false, unusedBytes: 0 };
    this.#leftBytes = wanted;
    return this.spend(bytes) as () => void;
  }

  /** Whoever fills it need not wait any more: nobody wants what it is for. */
  leave(): void {
    this.#channel.readAhead.leave(this.#claim);
  }

  /** Nothing more is spent; what is left goes back when all that was spent is written. */
  close(): void {
    const part = this.#part;
    if (!part) return;
    part.isClosed = true;
    part.unusedBytes = this.#leftBytes;
    this.#part = undefined;
    this.#leftBytes = 0;
    if (part.users === 0) part.giveBack(part.unusedBytes);
  }
}
