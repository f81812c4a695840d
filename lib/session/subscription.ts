// This module runs in every runtime.
import { deferred, News } from "../deferred.ts";
import { HeadraceError, LimitError, ProtocolError } from "../errors.ts";
import {
  type AddressPattern,
  formatAddress,
  matchesAddress,
  type TensorAddress,
} from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { SourceVersion } from "../tensor/source.ts";
import { decodeMessage, encodeMessage } from "../wire/control.ts";
import { FRAME, type FrameHeader, frameName } from "../wire/frame_header.ts";
import type { Notify } from "../wire/messages.ts";
import { receiptShape } from "../wire/request_shapes.ts";
import { notifyShape } from "../wire/store_shapes.ts";
import type { Channel, StreamParty } from "./channel.ts";
import type { Transfer } from "./transfer.ts";

/** What a subscription tells. */
export interface TensorChange {
  /** `here`, it was there when the subscription began; `changed`, there is a new version; `gone`. */
  readonly kind: Notify["kind"];
  readonly address: TensorAddress;
  /** What the tensor is now, unless it is gone. */
  readonly descriptor?: TensorDescriptor | undefined;
  readonly version?: SourceVersion | undefined;
  /** The tensor on its way, where the subscription fetches what it tells of. */
  readonly transfer?: Transfer | undefined;
}

/** Options of `TensorPeer.subscribe`, beside where tensors go. */
export interface SubscriptionControls {
  readonly pattern: AddressPattern;
  readonly initial: boolean;
  /** Changes that may wait for the caller: of one address only the newest does. */
  readonly maxWaiting: number;
  readonly signal: AbortSignal | undefined;
  /** The connection of now, or the next one. */
  readonly link: (signal: AbortSignal) => Promise<Channel>;
  /** Waits before another attempt, or throws what is final. */
  readonly pauseOrThrow: (error: unknown, failures: number, signal: AbortSignal) => Promise<void>;
  /** Fetches this very version, where the caller wants it at once. */
  readonly fetch: ((change: TensorChange) => Transfer) | undefined;
}

/**
 * Changes of the tensors at another peer, as they come and over as many connections as it takes.
 * Of each address only the newest waits to be read; a version is told once. Ends with `close`.
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
 * await using changes = client.subscribe("m/default/*");
 * await changes.ready;
 * store.set(address, new Uint8Array([1]));
 * for await (const { kind, address } of changes) {
 *   console.log(kind, address.tensor); // changed w
 *   break;
 * }
 * ```
 */
export class Subscription implements AsyncIterable<TensorChange>, AsyncDisposable {
  /** Fulfils when the subscription is in force: every change from then on is told. */
  readonly ready: Promise<void>;
  readonly #ready = deferred<void>();
  /** Fulfils when the subscription is over. */
  readonly ended: Promise<void>;
  readonly #controls: SubscriptionControls;
  readonly #stop = new AbortController();
  readonly #waiting = new Map<string, TensorChange>();
  readonly #versions = new Map<string, SourceVersion>();
  readonly #fetching = new Map<string, Transfer>();
  readonly #news = new News();
  #failure: { readonly error: unknown } | undefined;

  constructor(controls: SubscriptionControls) {
    this.#controls = controls;
    this.ready = this.#ready.promise;
    const { signal } = controls;
    const onAbort = () => this.#end(signal?.reason);
    this.ended = new Promise((resolve) => {
      const over = () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#stop.signal.addEventListener("abort", over, { once: true });
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    this.#keep().catch((error) => this.#end(error));
  }

  /** Ends the subscription; iterating ends as well. */
  close(): Promise<void> {
    this.#stop.abort(new DOMException("The subscription was closed", "AbortError"));
    this.#waiting.clear();
    this.#ready.resolve();
    this.#news.tell();
    return Promise.resolve();
  }

  /** Closes it at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The changes, one after another; leaving the loop ends the subscription. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TensorChange, void, undefined> {
    try {
      for (;;) {
        const [first] = this.#waiting;
        if (first) {
          this.#waiting.delete(first[0]);
          yield first[1];
        } else if (this.#failure) {
          throw this.#failure.error;
        } else if (this.#stop.signal.aborted) {
          return;
        } else {
          await this.#news.wait();
        }
      }
    } finally {
      await this.close();
    }
  }

  #end(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#failure ??= { error };
    this.#stop.abort(error);
    this.#ready.reject(error);
    this.#news.tell();
  }

  async #keep(): Promise<void> {
    const { link, pauseOrThrow, pattern } = this.#controls;
    const { signal } = this.#stop;
    let failures = 0;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const channel = await link(signal);
        // After a cut, what changed meanwhile is found by what is there.
        const initial = this.#controls.initial || attempt > 0;
        const onNotify = (notify: Notify) => {
          failures = 0;
          this.#heard(notify);
        };
        const party = new SubscriptionParty(onNotify, () => this.#ready.resolve());
        const stream = channel.add(party);
        channel.link.send(encodeMessage("subscribe", stream, { pattern, initial }));
        const stopped = new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
        await Promise.race([party.over, stopped]);
        if (!party.isOver) {
          channel.remove(stream);
          channel.link.send(encodeMessage("unsubscribe", stream, {}));
        }
      } catch (error) {
        if (signal.aborted) return;
        const isFinal = !(error instanceof HeadraceError && error.retryable);
        if (isFinal) throw error;
        await pauseOrThrow(error, ++failures, signal);
      }
    }
  }

  #heard(notify: Notify): void {
    const { pattern, maxWaiting, fetch } = this.#controls;
    const { kind, address, descriptor, version } = notify;
    if (this.#stop.signal.aborted) return;
    if (!matchesAddress(pattern, address) || (kind !== "gone" && !version)) {
      throw new ProtocolError(
        `The peer told of ${formatAddress(address)}, which was not asked for`,
      );
    }
    const key = formatAddress(address);
    const known = this.#versions.get(key);
    if (kind === "gone" ? !known : known && version && equalBytes(known, version)) return;
    if (version && kind !== "gone") this.#versions.set(key, version);
    else this.#versions.delete(key);
    // What is older than this is of no use to anybody.
    this.#fetching.get(key)?.cancel(new DOMException("A newer version is there", "AbortError"));
    this.#fetching.delete(key);
    const change = { kind, address, ...(kind !== "gone" && { descriptor, version }) };
    const transfer = kind === "gone" ? undefined : fetch?.(change);
    if (transfer) {
      this.#fetching.set(key, transfer);
      const over = () => {
        if (this.#fetching.get(key) === transfer) this.#fetching.delete(key);
      };
      transfer.done.then(over, over);
    }
    this.#waiting.delete(key);
    this.#waiting.set(key, { ...change, ...(transfer && { transfer }) });
    if (this.#waiting.size > maxWaiting || this.#versions.size > maxWaiting) {
      this.#end(new LimitError(`More than ${maxWaiting} changes wait to be read`));
    }
    this.#news.tell();
  }
}

/** The asking end's party of one connection. */
class SubscriptionParty implements StreamParty {
  readonly #over = deferred<never>();
  readonly #onNotify: (notify: Notify) => void;
  readonly #onReady: () => void;
  #isReady = false;
  #change = 0;
  isOver = false;

  constructor(onNotify: (notify: Notify) => void, onReady: () => void) {
    this.#onNotify = onNotify;
    this.#onReady = onReady;
  }

  /** Rejects with what ended it. */
  get over(): Promise<never> {
    return this.#over.promise;
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    if (header.type === FRAME.receipt) {
      const { complete } = decodeMessage(receiptShape, header, payload);
      if (this.#isReady || !complete) {
        throw new ProtocolError("The peer took a subscription twice, or not at all");
      }
      this.#isReady = true;
      this.#onReady();
      return;
    }
    if (header.type !== FRAME.notify) {
      throw new ProtocolError(`A subscription cannot hold a ${frameName(header.type)} frame`);
    }
    const notify = decodeMessage(notifyShape, header, payload);
    if (notify.change <= this.#change)
      throw new ProtocolError("The peer told of changes backwards");
    this.#change = notify.change;
    this.#onNotify(notify);
  }

  fail(error: unknown): void {
    this.isOver = true;
    this.#over.reject(error);
  }
}
