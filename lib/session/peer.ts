// This module runs in every runtime.
import type { Connect, Connection } from "../connection.ts";
import { abortable, deferred } from "../deferred.ts";
import { RetryExhaustedError, TransportError } from "../errors.ts";
import {
  type AddressPattern,
  formatAddress,
  parsePattern,
  type TensorAddress,
} from "../tensor/address.ts";
import type { ListingEntry } from "../wire/listing.ts";
import type { Hello, Offer } from "../wire/messages.ts";
import { Answering } from "./answering.ts";
import { AttemptFences } from "./attempt_fences.ts";
import { Attempts } from "./attempts.ts";
import type { ConnectionView } from "./connection_view.ts";
import { ListingRequest } from "./listing.ts";
import type { MemorySink } from "./memory_sink.ts";
import { PeerLink } from "./peer_link.ts";
import type {
  PrefetchOptions,
  RequestOptions,
  StreamOptions,
  SubscribeOptions,
  TensorPeerOptions,
} from "./peer_options.ts";
import { createContext } from "./peer_setup.ts";
import { Prefetches } from "./prefetches.ts";
import { pushTensor } from "./pushing.ts";
import type { ReceivedTensor } from "./request_batch.ts";
import { type Requested, requestTensor } from "./requesting.ts";
import type { SessionContext } from "./session_context.ts";
import { Subscription } from "./subscription.ts";
import type { TensorInput } from "./tensor_input.ts";
import { type RequestListOptions, TensorList } from "./tensor_list.ts";
import type { Transfer } from "./transfer.ts";
import { DEFAULT_PRIORITY, type TransferMaking, TransferTable } from "./transfer_table.ts";

const PREFETCH_PRIORITY = 0;

/**
 * Either end of a connection over which tensors move both ways. Given a `connect` function it dials
 * when it has something to do, dials again after a cut, and its transfers carry on from the leaves
 * that the receiver has verified; given a connection it lives as long as that.
 *
 * @example
 * ```ts
 * import { MemoryStore, TensorPeer } from "headrace";
 * import { connectionPair } from "headrace/memory";
 *
 * const address = { model: "m", partition: "default", tensor: "w" };
 * const store = new MemoryStore();
 * store.set(address, new Float32Array([1, 2, 3, 4]));
 * const [here, there] = connectionPair();
 * await using server = new TensorPeer(there, { store, accepted: true });
 * await using client = new TensorPeer(here);
 *
 * const transfer = client.requestTensor(address);
 * for await (const bytes of transfer.readable) console.log(bytes.byteLength); // 16
 * await transfer.done;
 * ```
 */
export class TensorPeer implements AsyncDisposable {
  readonly #context: SessionContext;
  readonly #link: PeerLink;
  readonly #attempts: Attempts;
  readonly #answering: Answering;
  readonly #prefetches: Prefetches;
  readonly #transfers: TransferTable;
  readonly #subscriptions = new Set<Subscription>();
  readonly #closed = deferred<void>();

  /** @throws {RangeError} for a chunk size that is not a whole number from 1 KiB to 64 MiB. */
  constructor(link: Connection | Connect, options: TensorPeerOptions = {}) {
    const { successor, registry } = options;
    this.#context = createContext(options);
    this.#link = new PeerLink(link, {
      context: this.#context,
      peer: options,
      open: (...began) => this.#answering.open(...began),
      successor: successor && (async (signal) => (await successor(signal)).#link),
    });
    this.#attempts = new Attempts(this.#link);
    this.#transfers = new TransferTable({
      context: this.#context,
      attempts: this.#attempts,
      onProgress: () => this.#link.dialler.progressed(),
      onEnd: registry && ((transfer) => registry.ended(transfer, this)),
    });
    this.#answering = new Answering({
      context: this.#context,
      peer: options,
      attempts: this.#attempts,
      fences: options.fences ?? new AttemptFences(),
      transfer: (identity, direction) => this.#transfers.begin(identity, direction),
    });
    this.#prefetches = new Prefetches(this.#context.limits.maxPrefetchBytes);
    registry?.add(this);
    if (typeof link !== "function") this.#liveAndDie();
  }

  /**
   * Settles when the peer is closed or, for a peer over a given connection, when that has ended and
   * nothing of what this end began waits for the next one.
   */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** The transfers under way, both directions, whoever began them; not the entries of request lists. */
  get transfers(): readonly Transfer[] {
    return this.#transfers.all;
  }

  /**
   * What is to be seen of the connection that is open: the other end's name and role, how it is
   * reached, the round trip; `undefined` while there is none, and before HELLO is said.
   */
  get connection(): ConnectionView | undefined {
    return this.#link.view;
  }

  /** Bytes written to connections since the peer was made, everything counted. */
  get sentBytes(): number {
    return this.#link.sentBytes;
  }

  /** Bytes read from connections since the peer was made, everything counted. */
  get receivedBytes(): number {
    return this.#link.receivedBytes;
  }

  /** Bytes written and not yet read by the other end, as far as it has said. */
  get inFlightBytes(): number {
    return this.#link.own?.link.flight.bytes ?? 0;
  }

  /** Bytes of chunks that have come and are not consumed; never more than the connection's window. */
  get heldBytes(): number {
    return this.#link.own?.incoming.heldBytes ?? 0;
  }

  /** The smallest round trip of late in milliseconds, where it is known. */
  get rttMs(): number | undefined {
    return this.#link.own?.link.flight.rttMs;
  }

  /**
   * What the other end calls itself, once HELLO is said.
   *
   * @throws {TransportError | ProtocolError | UnauthorisedError} when there is no link to be had.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const store = new MemoryStore();
   * store.set(address, new Float32Array([1, 2, 3]));
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true, node: "server" });
   * await using client = new TensorPeer(here);
   *
   * console.log((await client.remoteHello()).node); // server
   * ```
   */
  async remoteHello(): Promise<Hello> {
    return (await this.#link.dialler.link()).link.remoteHello;
  }

  /**
   * Asks for a tensor, or for a part of it.
   *
   * @throws {TypeError | RangeError} for an address or a priority that cannot be.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const store = new MemoryStore();
   * store.set(address, new Float32Array(1000 * 8), { shape: [1000, 8] });
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true });
   * await using client = new TensorPeer(here);
   *
   * const rows = client.requestTensor(address, { rows: [10, 12], into: "memory", priority: 100 });
   * console.log((await rows.tensor()).length); // 16
   * ```
   */
  requestTensor(address: TensorAddress, options: RequestOptions = {}): Transfer {
    const key = formatAddress(address);
    const digest = options.digest ?? this.#context.digest;
    const isWhole = !options.rows && !options.bytes;
    const prefetch = isWhole ? this.#prefetches.take(key, digest) : undefined;
    if (prefetch && !prefetch.transfer.isOver) {
      if (options.into === "memory" && !options.version && !options.root) {
        prefetch.transfer.priority = options.priority ?? DEFAULT_PRIORITY;
        this.#transfers.bind(prefetch.transfer, options);
        return prefetch.transfer;
      }
      prefetch.transfer.cancel(new DOMException("A request took its place", "AbortError"));
    }
    return this.#request(address, options, prefetch?.sink()).transfer;
  }

  /**
   * Asks for many tensors in few frames, each of them verified, and gives them out as they come.
   * Small ones need no round trip and no bookkeeping of their own; those that do not fit into one
   * frame of 64 KiB are fetched by themselves, a few at a time. What the caller does not take is
   * not asked for: at most about 8 MiB wait.
   *
   * @throws {TypeError | RangeError} for an address or a priority that cannot be.
   * @throws what a tensor cannot be had for, unless `onFailed` takes it.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const addresses = Array.from({ length: 100 }, (_, n) => ({
   *   model: "m",
   *   partition: "default",
   *   tensor: `bias.${n}`,
   * }));
   * const store = new MemoryStore();
   * for (const address of addresses) store.set(address, new Float32Array(16));
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true });
   * await using client = new TensorPeer(here);
   *
   * let count = 0;
   * for await (const { bytes } of client.requestTensors(addresses)) count += bytes.byteLength;
   * console.log(count); // 6400
   * ```
   */
  requestTensors(
    addresses: Iterable<TensorAddress>,
    options: RequestListOptions = {},
  ): AsyncGenerator<ReceivedTensor, void, undefined> {
    const list = new TensorList(addresses, options, {
      context: this.#context,
      priority: options.priority ?? DEFAULT_PRIORITY,
      link: (signal) => this.#link.dialler.link(signal),
      pauseOrThrow: (...given) => this.#attempts.pauseOrThrow(...given),
      single: async (address, signal) => {
        const { digest, priority } = options;
        const chosen = { ...(digest && { digest }), ...(priority !== undefined && { priority }) };
        let version = new Uint8Array();
        const { transfer, outlet } = this.#request(address, { ...chosen, into: "memory", signal });
        await transfer.done;
        version = (await outlet.memory?.()?.held())?.version.slice() ?? version;
        const descriptor = transfer.descriptor as Offer["descriptor"];
        return { address, descriptor, version, bytes: await transfer.bytes() };
      },
    });
    return list.tensors();
  }

  /**
   * Sends a tensor to the other end, if that accepts it: a typed array, bytes, a blob or a file, a
   * store's tensor, or a stream of bytes. A stream cannot be read twice: what is not acknowledged is
   * kept in a bounded buffer, so that it survives a cut as well.
   *
   * @throws {TypeError | RangeError} for an address, a priority or a tensor that cannot be.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const sinks = new MemoryStore();
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { sinks, accepted: true });
   * await using client = new TensorPeer(here);
   *
   * await client.streamTensor(address, new Float32Array(6), { shape: [2, 3] }).done;
   *
   * const stream = new Blob([new Uint8Array(64)]).stream();
   * await client.streamTensor(address, stream, { dtype: "F32", shape: [Infinity, 4], openEnded: true })
   *   .done;
   * ```
   */
  streamTensor(address: TensorAddress, tensor: TensorInput, options: StreamOptions = {}): Transfer {
    return pushTensor(this.#making, address, tensor, options);
  }

  /**
   * Fetches tensors into memory before they are needed, when nothing else is to be done. A later
   * `requestTensor` of the same whole tensor takes over what is here, running or done, at its own
   * priority: versions are compared, and only what is missing is sent. At most `maxPrefetchBytes`
   * are kept.
   *
   * @returns the transfers, in the order of the addresses.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const store = new MemoryStore();
   * store.set(address, new Float32Array(1000));
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true });
   * await using client = new TensorPeer(here);
   *
   * client.prefetch([address]);
   * const weights = await client.requestTensor(address, { into: "memory" }).tensor();
   * console.log(weights.length); // 1000
   * ```
   */
  prefetch(addresses: Iterable<TensorAddress>, options: PrefetchOptions = {}): Transfer[] {
    const { digest = this.#context.digest, priority = PREFETCH_PRIORITY, signal } = options;
    return [...addresses].map((address) => {
      const key = formatAddress(address);
      const known = this.#prefetches.get(key);
      if (known) return known.transfer;
      const chosen = { digest, priority, into: "memory", ...(signal && { signal }) } as const;
      const { transfer, outlet } = this.#request(address, chosen);
      this.#prefetches.add(key, { transfer, digest, sink: () => outlet.memory?.() });
      return transfer;
    });
  }

  /**
   * Is told when a tensor at the other end has a new version, and may have it fetched at once. It
   * outlives cuts: what changed meanwhile is told afterwards, each version once.
   *
   * @param pattern `model/partition/tensor`, `*` a wildcard, names left out match all.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const store = new MemoryStore();
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true });
   * await using client = new TensorPeer(here);
   *
   * const subscription = client.subscribe("m", { fetch: { into: "memory" } });
   * await subscription.ready;
   * store.set(address, new Float32Array([1, 2]));
   * for await (const { kind, transfer } of subscription) {
   *   console.log(kind, await transfer?.tensor()); // changed Float32Array(2) [ 1, 2 ]
   *   break;
   * }
   * ```
   */
  subscribe(pattern: AddressPattern | string, options: SubscribeOptions = {}): Subscription {
    const { initial = false, fetch, signal } = options;
    const subscription = new Subscription({
      pattern: typeof pattern === "string" ? parsePattern(pattern) : pattern,
      initial,
      maxWaiting: this.#context.limits.maxListEntries,
      signal,
      link: (stop) => this.#link.dialler.link(stop),
      pauseOrThrow: (...given) => this.#attempts.pauseOrThrow(...given),
      fetch:
        fetch &&
        (({ address, version }) => {
          const transfer = this.#request(address, {
            ...fetch,
            ...(version && { version }),
          }).transfer;
          // One that gives way to a newer version is nobody's fault.
          transfer.done.catch(() => {});
          return transfer;
        }),
    });
    this.#subscriptions.add(subscription);
    subscription.ended.then(() => this.#subscriptions.delete(subscription));
    return subscription;
  }

  /**
   * What the other end has, in the order in which its files hold it.
   *
   * @param pattern `model/partition/tensor`, `*` a wildcard, names left out match all.
   * @param options With `roots`, each entry has its root, for which the other end may have to read
   *   and hash what it has.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const store = new MemoryStore();
   * store.set({ model: "m", partition: "default", tensor: "w.0" }, new Float32Array(4));
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true });
   * await using client = new TensorPeer(here);
   * for (const { address, descriptor } of await client.list("m/default/w.*")) {
   *   console.log(address.tensor, descriptor.dtype, descriptor.shape); // w.0 F32 [ 4 ]
   * }
   * ```
   */
  async list(
    pattern: AddressPattern | string = "",
    options: { readonly roots?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<ListingEntry[]> {
    const { roots = false, signal } = options;
    const wanted = typeof pattern === "string" ? parsePattern(pattern) : pattern;
    for (let failures = 1; ; failures++) {
      try {
        const channel = await this.#link.dialler.link(signal);
        const listing = new ListingRequest(channel, wanted, roots, this.#context);
        return await abortable(listing.done, signal).finally(() => listing.cancel(signal?.reason));
      } catch (error) {
        signal?.throwIfAborted();
        await this.#attempts.pauseOrThrow(error, failures, signal);
      }
    }
  }

  /**
   * Cancels a transfer by its id; `false` when there is none.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const store = new MemoryStore();
   * store.set(address, new Float32Array([1, 2, 3]));
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true, node: "server" });
   * await using client = new TensorPeer(here);
   *
   * const transfer = client.requestTensor(address);
   * transfer.done.catch((reason) => console.log(reason.message)); // not needed
   * console.log(client.cancel(transfer.id, new Error("not needed"))); // true
   * ```
   */
  cancel(id: string, reason?: unknown): boolean {
    const transfer = this.transfers.find((one) => one.id === id);
    transfer?.cancel(reason);
    return transfer !== undefined;
  }

  /**
   * Cancels what is under way, says goodbye and lets go of the connection. `await using` does it.
   *
   * @param reason What the transfers are cancelled with; default: an `AbortError`.
   *
   * @example
   * ```ts
   * import { TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const [here, there] = connectionPair();
   * const server = new TensorPeer(there, { accepted: true });
   * const client = new TensorPeer(here);
   * await client.remoteHello();
   * await client.close();
   * await server.closed; // the goodbye was heard
   * ```
   */
  async close(
    reason: unknown = new DOMException("The peer was closed", "AbortError"),
  ): Promise<void> {
    const { own } = this.#link;
    this.#release(reason);
    await own?.link.goodbye();
    this.#closed.resolve();
  }

  /**
   * Ends everything at once, without a word to the other end.
   *
   * @example
   * ```ts
   * import { TensorPeer, TransportError } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const [here, there] = connectionPair();
   * const client = new TensorPeer(here);
   * client.destroy(new TransportError("the battery is out"));
   * await client.closed;
   * there.close();
   * ```
   */
  destroy(reason: unknown): void {
    this.disconnect(reason);
    this.#release(reason);
    this.#closed.resolve();
  }

  /**
   * Cuts the connection, as if it had failed: what can go on over another one does.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const store = new MemoryStore();
   * store.set(address, new Uint8Array(1000));
   * const connect = async () => {
   *   const [here, there] = connectionPair();
   *   new TensorPeer(there, { store, accepted: true }).closed.catch(() => {});
   *   return here;
   * };
   * await using client = new TensorPeer(connect, { retry: { baseDelayMs: 10 } });
   * const transfer = client.requestTensor(address, { into: "memory" });
   * client.disconnect();
   * console.log((await transfer.bytes()).byteLength); // 1000
   * ```
   */
  disconnect(reason: unknown = new TransportError("The connection was cut")): void {
    this.#link.own?.link.close(reason);
  }

  #release(reason: unknown): void {
    for (const transfer of this.transfers) {
      transfer.settle("cancelled", reason);
      const attempt = this.#attempts.of(transfer);
      // On its own connection GOODBYE follows, which for a peer that dials is one more cut.
      if (this.#link.own) attempt?.fail(reason);
      else attempt?.cancel(reason);
    }
    for (const subscription of this.#subscriptions) void subscription.close();
    this.#prefetches.clear();
    this.#link.dialler.close(reason);
  }

  /** Closes it at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A given connection is greeted at once; its end is the peer's, once nothing waits for another. */
  async #liveAndDie(): Promise<void> {
    try {
      const { link } = await this.#link.dialler.link();
      await link.closed.finally(() => this.#idle());
      this.#closed.resolve();
    } catch (error) {
      this.#closed.reject(error instanceof RetryExhaustedError ? (error.cause ?? error) : error);
    }
  }

  /** Until nothing is under way. */
  async #idle(): Promise<void> {
    while (this.#transfers.size > 0 || this.#subscriptions.size > 0) {
      const transfers = this.transfers.map(({ done }) => done);
      const subscriptions = [...this.#subscriptions].map(({ ended }) => ended);
      await Promise.allSettled([...transfers, ...subscriptions]);
    }
  }

  #request(address: TensorAddress, options: RequestOptions, held?: MemorySink): Requested {
    return requestTensor(this.#making, address, options, held);
  }

  /** What every transfer of this end is made with. */
  get #making(): TransferMaking {
    return { context: this.#context, attempts: this.#attempts, transfers: this.#transfers };
  }
}
