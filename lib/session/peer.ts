// This module runs in every runtime.
import { systemClock } from "../clock.ts";
import { deflate } from "../codec/deflate.ts";
import type { Connect, Connection } from "../connection.ts";
import { abortable, deferred } from "../deferred.ts";
import {
  IntegrityError,
  NotFoundError,
  ProtocolError,
  RetryExhaustedError,
  TransportError,
  UnauthorisedError,
} from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { sha256 } from "../platform/sha256.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../retry.ts";
import { Dialler } from "../streams/dialler.ts";
import { FrameLink } from "../streams/frame_link.ts";
import {
  type AddressPattern,
  checkAddress,
  formatAddress,
  parsePattern,
  type TensorAddress,
} from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { checkChunkBytes, MAX_CHUNK_BYTES } from "../tensor/chunk.ts";
import { DigestCache } from "../tensor/digest_cache.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { TensorSource, TensorStore } from "../tensor/source.ts";
import { decodeMessage, encodeMessage } from "../wire/control.ts";
import { FRAME, type FrameHeader } from "../wire/frame_header.ts";
import type { ListingEntry } from "../wire/listing.ts";
import type { Hello, Offer, Request } from "../wire/messages.ts";
import { AbortGroups } from "./abort_groups.ts";
import { type Attempt, Attempts } from "./attempts.ts";
import { BufferPool } from "./buffer_pool.ts";
import { Channel, type StreamParty } from "./channel.ts";
import { ListingAnswer, ListingRequest } from "./listing.ts";
import { MemorySink } from "./memory_sink.ts";
import { Pace } from "./pace.ts";
import type { RequestOptions, TensorPeerOptions, TransferOptions } from "./peer_options.ts";
import { Receiving } from "./receiving.ts";
import { Sending } from "./sending.ts";
import { Serving } from "./serving.ts";
import type { SessionContext } from "./session_context.ts";
import { StreamSink } from "./stream_sink.ts";
import { Transfer, type TransferControls } from "./transfer.ts";
import { TransferMeter } from "./transfer_meter.ts";

const DEFAULT_PRIORITY = 50;
const DEFAULT_CHUNK_BYTES = 1024 * 1024;
const DEFAULT_THRESHOLD_BYTES = 4096;
const MOST_BUFFERS_KEPT = 12;

/**
 * Either end of a connection over which tensors move both ways. Given a `connect` function it dials
 * when it has something to do, dials again after a cut, and its transfers carry on from the leaves
 * that the receiver has verified; given a connection it lives as long as that.
 *
 * @example
 * ```ts
 * import { ByteSource, TensorPeer } from "headrace";
 * import { connectionPair } from "headrace/memory";
 *
 * const weights = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
 * const store = {
 *   async *list() {},
 *   open: async () => new ByteSource(weights, { dtype: "F32", shape: [4] }),
 * };
 * const [here, there] = connectionPair();
 * await using server = new TensorPeer(there, { store, accepted: true });
 * await using client = new TensorPeer(here);
 *
 * const transfer = client.requestTensor({ model: "m", partition: "default", tensor: "w" });
 * for await (const bytes of transfer.readable) console.log(bytes.byteLength); // 16
 * await transfer.done;
 * ```
 */
export class TensorPeer implements AsyncDisposable {
  readonly #options: TensorPeerOptions;
  readonly #context: SessionContext;
  readonly #hello: Hello;
  readonly #dialler: Dialler<Channel>;
  readonly #attempts: Attempts;
  readonly #transfers = new Set<Transfer>();
  readonly #aborts = new AbortGroups();
  readonly #closed = deferred<void>();
  /** Bytes that earlier links have sent and received. */
  #sentBefore = 0;
  #receivedBefore = 0;

  /** @throws {RangeError} for a chunk size that is not a whole number from 1 KiB to 64 MiB. */
  constructor(link: Connection | Connect, options: TensorPeerOptions = {}) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const clock = options.clock ?? systemClock;
    const streaming = options.streaming ?? true;
    this.#options = options;
    const retry: RetryPolicy = { ...DEFAULT_RETRY_POLICY, ...options.retry };
    const random = options.random ?? Math.random;
    this.#context = {
      clock,
      limits,
      sha256: options.sha256 ?? sha256,
      digests: options.digests ?? new DigestCache(limits.maxCachedDigests),
      buffers: new BufferPool(MOST_BUFFERS_KEPT),
      codecs: streaming ? (options.codecs ?? [deflate]) : [],
      streaming,
      thresholdBytes: options.compressionThresholdBytes ?? DEFAULT_THRESHOLD_BYTES,
      chunkBytes: streaming
        ? checkChunkBytes(options.chunkBytes ?? DEFAULT_CHUNK_BYTES)
        : MAX_CHUNK_BYTES,
      maxRefetches: retry.maxRetries === "unlimited" ? Number.POSITIVE_INFINITY : retry.maxRetries,
    };
    this.#hello = {
      instance: crypto.getRandomValues(new Uint8Array(16)),
      node: options.node ?? "headrace",
      role: options.role ?? "mixed",
      codecs: this.#context.codecs.map((codec) => codec.name),
      features: [],
      maxChunkBytes: limits.maxChunkBytes,
      ...(options.token !== undefined && !options.accepted && { token: options.token }),
    };
    const canRedial = typeof link === "function";
    let given = typeof link === "function" ? undefined : link;
    const connect = async (signal: AbortSignal): Promise<Connection> => {
      if (typeof link === "function") return link(signal);
      const connection = given;
      given = undefined;
      if (connection) return connection;
      throw new TransportError(`The connection to ${link.remote} has ended`);
    };
    this.#dialler = new Dialler({
      open: async (signal) => this.#greet(await connect(signal), signal),
      ended: (channel) => channel.link.closed,
      discard: (channel, reason) => channel.link.close(reason),
      policy: canRedial ? retry : { ...retry, maxRetries: 0 },
      clock,
      random,
    });
    this.#attempts = new Attempts({ dialler: this.#dialler, policy: retry, canRedial, random });
    if (!canRedial) this.#liveAndDie();
  }

  /** Settles when the peer is closed or, for a peer over a given connection, when that has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** The transfers under way, both directions, whoever began them. */
  get transfers(): readonly Transfer[] {
    return [...this.#transfers];
  }

  /** Bytes written to connections since the peer was made, everything counted. */
  get sentBytes(): number {
    return this.#sentBefore + (this.#dialler.current?.link.sentBytes ?? 0);
  }

  /** Bytes read from connections since the peer was made, everything counted. */
  get receivedBytes(): number {
    return this.#receivedBefore + (this.#dialler.current?.link.receivedBytes ?? 0);
  }

  /** What the other end calls itself, once HELLO is said. */
  async remoteHello(): Promise<Hello> {
    return (await this.#dialler.link()).link.remoteHello;
  }

  /**
   * Asks for a tensor.
   *
   * @throws {TypeError | RangeError} for an address or a priority that cannot be.
   */
  requestTensor(address: TensorAddress, options: RequestOptions = {}): Transfer {
    checkAddress(address);
    const { version, into = "stream" } = options;
    const stream =
      into === "stream" ? new StreamSink((reason) => transfer.cancel(reason)) : undefined;
    let memory: MemorySink | undefined;
    const open = (offer: Offer): Promise<TensorSink> | TensorSink => {
      if (stream) return stream.attach(offer.descriptor);
      if (typeof into === "function") return into(offer);
      // A tensor that has another shape by now has nothing to resume from.
      if (memory?.descriptor.byteLength !== offer.descriptor.byteLength) {
        memory = new MemorySink(offer.descriptor);
      }
      return memory as MemorySink;
    };
    const outlets = {
      ...(stream && { readable: stream.readable }),
      ...(into === "memory" && { takeBytes: () => (memory as MemorySink).bytes }),
    };
    const { transfer, meter, id } = this.#begin(address, "in", options, outlets);
    const attempt = (channel: Channel, epoch: number): Receiving => {
      const digest = options.digest ?? "sha256";
      const { priority } = transfer;
      const request = { id, epoch, address, priority, digest, ...(version && { version }) };
      const receiving = new Receiving({
        channel,
        context: this.#context,
        meter,
        digest,
        isReaderPaced: stream !== undefined,
        open: async (offer) => {
          checkOffer(offer, request);
          transfer.enter("moving", offer.descriptor);
          return open(offer);
        },
        onPhase: (phase) => transfer.enter(phase),
      });
      channel.link.send(encodeMessage("request", receiving.stream, request));
      return receiving;
    };
    void this.#attempts.drive({ transfer, meter, isPinned: version !== undefined, attempt });
    transfer.done.catch((reason) => stream?.fail(reason));
    return transfer;
  }

  /** Sends a tensor to the other end, if that accepts it. */
  streamTensor(
    address: TensorAddress,
    source: TensorSource,
    options: TransferOptions = {},
  ): Transfer {
    checkAddress(address);
    const { transfer, meter, id } = this.#begin(address, "out", options);
    const attempt = (channel: Channel, epoch: number): Sending => {
      transfer.enter("moving", source.descriptor);
      const digest = options.digest ?? "sha256";
      const offer = { id, epoch, address, priority: transfer.priority, digest };
      return new Sending({ channel, context: this.#context, source, offer, meter });
    };
    void this.#attempts.drive({ transfer, meter, isPinned: false, attempt });
    return transfer;
  }

  /**
   * What the other end has, in the order in which its files hold it.
   *
   * @param pattern `model/partition/tensor`, `*` a wildcard, names left out match all.
   * @param options With `roots`, each entry has its root, for which the other end may have to read
   *   and hash what it has.
   */
  async list(
    pattern: AddressPattern | string = "",
    options: { readonly roots?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<ListingEntry[]> {
    const { roots = false, signal } = options;
    const wanted = typeof pattern === "string" ? parsePattern(pattern) : pattern;
    for (let failures = 1; ; failures++) {
      try {
        const channel = await this.#dialler.link(signal);
        const listing = new ListingRequest(channel, wanted, roots, this.#context);
        return await abortable(listing.done, signal).finally(() => listing.cancel(signal?.reason));
      } catch (error) {
        signal?.throwIfAborted();
        await this.#attempts.pauseOrThrow(error, failures, signal);
      }
    }
  }

  /** Cancels a transfer by its id; `false` when there is none. */
  cancel(id: string, reason?: unknown): boolean {
    const transfer = this.transfers.find((one) => one.id === id);
    transfer?.cancel(reason);
    return transfer !== undefined;
  }

  /** Cancels what is under way, says goodbye and lets go of the connection. */
  async close(
    reason: unknown = new DOMException("The peer was closed", "AbortError"),
  ): Promise<void> {
    // Nothing is cancelled at the other end: for a peer that dials, GOODBYE is one more cut.
    for (const transfer of this.transfers) {
      transfer.settle("cancelled", reason);
      this.#attempts.of(transfer)?.fail(reason);
    }
    const link = this.#dialler.current?.link;
    this.#dialler.close(reason);
    await link?.goodbye();
    this.#closed.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A given connection is greeted at once; its end is the peer's. */
  async #liveAndDie(): Promise<void> {
    try {
      const { link } = await this.#dialler.link();
      await link.closed;
      this.#closed.resolve();
    } catch (error) {
      this.#closed.reject(error instanceof RetryExhaustedError ? (error.cause ?? error) : error);
    }
  }

  async #greet(connection: Connection, signal: AbortSignal): Promise<Channel> {
    const { clock, limits } = this.#context;
    const accepted = this.#options.accepted ?? false;
    const channel = new Channel(
      !accepted,
      limits.maxTransfers,
      new Pace(clock, limits.connectionWindowBytes),
      (...began) => this.#answer(...began),
    );
    const link = await FrameLink.open(connection, {
      hello: this.#hello,
      handler: channel,
      accepted,
      authorise: ({ token }) => {
        if (!accepted || (this.#options.authorise?.(token) ?? true)) return;
        throw new UnauthorisedError(
          token === undefined ? "A token is needed to connect" : "The token is not the right one",
        );
      },
      limits,
      clock,
      signal,
    });
    const count = () => {
      this.#sentBefore += link.sentBytes;
      this.#receivedBefore += link.receivedBytes;
    };
    link.closed.then(count, count);
    return channel;
  }

  #begin(
    address: TensorAddress,
    direction: "in" | "out",
    options: TransferOptions,
    outlets: Pick<TransferControls, "readable" | "takeBytes"> = {},
    id: Uint8Array = crypto.getRandomValues(new Uint8Array(16)),
  ): { transfer: Transfer; meter: TransferMeter; id: Uint8Array } {
    const priority = options.priority ?? DEFAULT_PRIORITY;
    if (!Number.isInteger(priority) || priority < 0 || priority > 255) {
      throw new RangeError(`A priority must be a whole number from 0 to 255, found ${priority}`);
    }
    const meter = new TransferMeter(this.#context.clock, () => this.#dialler.progressed());
    const transfer: Transfer = new Transfer({
      id,
      address,
      direction,
      priority,
      meter,
      ...outlets,
      abort: (reason) => this.#attempts.of(transfer)?.cancel(reason),
    });
    this.#transfers.add(transfer);
    const over = () => void this.#transfers.delete(transfer);
    transfer.done.then(over, over);
    if (options.signal) this.#aborts.add(options.signal, transfer);
    return { transfer, meter, id };
  }

  /** Takes a stream that the other end began. */
  #answer(channel: Channel, header: FrameHeader, payload: Uint8Array): StreamParty {
    const context = this.#context;
    const { stream } = header;
    const store = this.#options.store ?? NO_STORE;
    if (header.type === FRAME.list) {
      const list = decodeMessage("list", header, payload);
      return new ListingAnswer(channel, stream, list, store, context);
    }
    if (header.type === FRAME.request) {
      const request = decodeMessage("request", header, payload);
      const { address, priority, id } = request;
      const { transfer, meter } = this.#begin(address, "out", { priority }, undefined, id);
      transfer.enter("moving");
      const serving = new Serving({ channel, context, meter, stream, request, store });
      return this.#follow(transfer, serving);
    }
    const offer = decodeMessage("offer", header, payload);
    const { address, priority, digest, id } = offer;
    const { transfer, meter } = this.#begin(address, "in", { priority }, undefined, id);
    transfer.enter("moving", offer.descriptor);
    const open = async (): Promise<TensorSink> => {
      if (!this.#options.sinks) throw new UnauthorisedError("This peer takes no pushes");
      const { instance, node } = await channel.link.remoteHello;
      const origin = { version: offer.version, instance, node, over: channel.link.closed };
      return this.#options.sinks.accept(offer.address, offer.descriptor, origin);
    };
    const pushed = { stream, offer };
    return this.#follow(transfer, new Receiving({ channel, context, meter, digest, open, pushed }));
  }

  #follow<T extends Attempt & StreamParty>(transfer: Transfer, attempt: T): T {
    this.#attempts.follow(transfer, attempt);
    this.#options.onTransfer?.(transfer);
    return attempt;
  }
}

/** @throws {ProtocolError | IntegrityError} for an offer that does not answer the request. */
function checkOffer(offer: Offer, { id, epoch, address, version }: Request): void {
  const wanted = formatAddress(address);
  const isSame = equalBytes(offer.id, id) && offer.epoch === epoch;
  if (!isSame || formatAddress(offer.address) !== wanted) {
    throw new ProtocolError(`The peer offered something else than ${wanted}`);
  }
  if (!version || equalBytes(offer.version, version)) return;
  const message = `${wanted} is not the version that was asked for any more`;
  throw new IntegrityError("source", message, { address: wanted });
}

const NO_STORE: TensorStore = {
  async *list() {},
  open: () => Promise.reject(new NotFoundError("This peer serves nothing")),
};
