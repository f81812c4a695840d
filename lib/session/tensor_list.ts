// This module runs in every runtime.
import { News } from "../deferred.ts";
import { HeadraceError, RemoteError } from "../errors.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { DigestMode } from "../wire/messages.ts";
import type { Channel } from "./channel.ts";
import { type ReceivedTensor, RequestBatch } from "./request_batch.ts";
import type { SessionContext } from "./session_context.ts";

/** What a request list tells of tensors that do not fit into a frame. */
export const ASK_SINGLY = "ask_singly";

/** Options of `TensorPeer.requestTensors`. */
export interface RequestListOptions {
  /** 0 to 255, default 50. */
  readonly priority?: number;
  /** Whether tensors carry digests; default: the peer's. */
  readonly digest?: DigestMode;
  readonly signal?: AbortSignal;
  /** Told of tensors that cannot be had; left out, the first of them ends everything with its error. */
  readonly onFailed?: (address: TensorAddress, error: unknown) => void;
}

/** What a {@linkcode TensorList} needs of its peer. */
export interface TensorListOptions {
  readonly context: SessionContext;
  readonly link: (signal: AbortSignal) => Promise<Channel>;
  /** Asks for one that does not fit into a frame. */
  readonly single: (address: TensorAddress, signal: AbortSignal) => Promise<ReceivedTensor>;
  /** Waits before another attempt, or throws what ends them. */
  readonly pauseOrThrow: (error: unknown, failures: number, signal: AbortSignal) => Promise<void>;
  readonly priority: number;
}

/** What may be asked for and not taken by the caller: more only fills memory. */
const AHEAD_BYTES = 8 * 1024 * 1024;
/** What an answer is taken for until some are here. */
const FIRST_GUESS_BYTES = 64 * 1024;
/** Large ones that are asked for by themselves at once. */
const SINGLE_AT_ONCE = 4;

/**
 * Many tensors asked for in a few frames, given out as they come. Asks for no more than the caller
 * takes, begins again after a cut with what has not come, and asks for large ones one by one.
 */
export class TensorList {
  readonly #options: TensorListOptions;
  readonly #wanted: Iterator<TensorAddress>;
  readonly #list: RequestListOptions;
  /** What has come, with the channel whose credit it holds, if it does. */
  readonly #ready: { readonly tensor: ReceivedTensor; readonly over?: Channel }[] = [];
  readonly #again: TensorAddress[] = [];
  readonly #large: TensorAddress[] = [];
  readonly #retries = new Map<TensorAddress, number>();
  readonly #news = new News();
  readonly #stop = new AbortController();
  #batch: RequestBatch | undefined;
  #channel: Channel | undefined;
  #lost: { readonly error: unknown } | undefined;
  #failure: { readonly error: unknown } | undefined;
  #singles = 0;
  #isExhausted = false;
  #readyBytes = 0;
  #cameBytes = 0;
  #cameCount = 0;

  constructor(
    wanted: Iterable<TensorAddress>,
    list: RequestListOptions,
    options: TensorListOptions,
  ) {
    this.#wanted = wanted[Symbol.iterator]();
    this.#list = list;
    this.#options = options;
  }

  /** Every tensor, in the order in which they come. */
  async *tensors(): AsyncGenerator<ReceivedTensor, void, undefined> {
    const { signal } = this.#list;
    const onAbort = () => this.#fail(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      signal?.throwIfAborted();
      let failures = 0;
      for (;;) {
        if (this.#failure) throw this.#failure.error;
        const next = this.#ready.shift();
        if (next) {
          failures = 0;
          this.#readyBytes -= next.tensor.bytes.byteLength;
          next.over?.consumed(next.tensor.bytes.byteLength);
          yield next.tensor;
          continue;
        }
        if (this.#lost) await this.#recover(++failures);
        await this.#ask();
        if (this.#isOver) return;
        if (this.#ready.length === 0 && !this.#lost && !this.#failure) await this.#news.wait();
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#batch?.cancel(new DOMException("The list was given up", "AbortError"));
      for (const { tensor, over } of this.#ready) over?.consumed(tensor.bytes.byteLength);
      this.#stop.abort();
    }
  }

  get #isOver(): boolean {
    const isIdle = (this.#batch?.size ?? 0) === 0 && this.#singles === 0;
    const isDone = this.#isExhausted && this.#again.length === 0 && this.#large.length === 0;
    return isIdle && isDone && this.#ready.length === 0;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop.abort(error);
    this.#news.tell();
  }

  /** Asks for as many more as the caller is likely to take soon. */
  async #ask(): Promise<void> {
    if (this.#large.length > 0) this.#askSingles();
    const averageBytes =
      this.#cameCount === 0 ? FIRST_GUESS_BYTES : Math.ceil(this.#cameBytes / this.#cameCount);
    const roomBytes = AHEAD_BYTES - this.#readyBytes;
    const most = Math.floor(roomBytes / Math.max(averageBytes, 1024));
    const asked = this.#batch?.size ?? 0;
    // A few at a time would be a frame for each.
    if (asked > most / 2) return;
    const next: TensorAddress[] = [];
    while (next.length + asked < most) {
      const address = this.#again.pop() ?? this.#pull();
      if (!address) break;
      next.push(address);
    }
    if (next.length === 0) return;
    const batch = await this.#connected().catch((error) => {
      this.#again.push(...next);
      throw error;
    });
    const remote = await (this.#channel as Channel).link.remoteHello;
    const fitting = Math.max(0, remote.maxRequests - batch.size);
    this.#again.push(...next.splice(fitting));
    try {
      batch.ask(next);
    } catch (error) {
      this.#again.push(...next);
      this.#lost = { error };
    }
  }

  #pull(): TensorAddress | undefined {
    if (this.#isExhausted) return undefined;
    const next = this.#wanted.next();
    if (!next.done) return next.value;
    this.#isExhausted = true;
    return undefined;
  }

  async #connected(): Promise<RequestBatch> {
    if (this.#batch) return this.#batch;
    const { link, context, priority } = this.#options;
    const channel = await link(this.#stop.signal);
    this.#channel = channel;
    this.#batch = new RequestBatch({
      channel,
      context,
      priority,
      digest: this.#list.digest ?? this.#options.context.digest,
      onTensor: (tensor) => {
        this.#cameBytes += tensor.bytes.byteLength;
        this.#cameCount++;
        this.#came(tensor, channel);
      },
      onFailed: (address, error) => this.#notCame(address, error),
    });
    return this.#batch;
  }

  #came(tensor: ReceivedTensor, over?: Channel): void {
    const { byteLength } = tensor.bytes;
    this.#readyBytes += byteLength;
    // What was to be expected holds no credit: a caller that pauses would hold up all others by it.
    const isExpected = this.#readyBytes <= AHEAD_BYTES;
    if (isExpected) over?.consumed(byteLength);
    this.#ready.push({ tensor, ...(over && !isExpected && { over }) });
    if (this.#ready.length === 1) this.#news.tell();
  }

  #notCame(address: TensorAddress, error: unknown): void {
    if (error instanceof RemoteError && error.remoteCode === ASK_SINGLY) {
      this.#large.push(address);
      this.#askSingles();
    } else if (this.#channel?.link.isOver && isRetryable(error)) {
      this.#again.push(address);
      this.#lost ??= { error };
    } else if (isRetryable(error) && this.#mayRetry(address)) {
      this.#again.push(address);
    } else if (this.#list.onFailed) {
      this.#list.onFailed(address, error);
    } else {
      this.#fail(error);
    }
    this.#news.tell();
  }

  /** One that fails while the link lives is asked for again as often as a damaged leaf. */
  #mayRetry(address: TensorAddress): boolean {
    const count = (this.#retries.get(address) ?? 0) + 1;
    this.#retries.set(address, count);
    return count <= this.#options.context.maxRefetches;
  }

  /** Large ones are held up by the caller too: a transfer into memory is not begun before. */
  #askSingles(): void {
    while (this.#singles < SINGLE_AT_ONCE && this.#readyBytes < AHEAD_BYTES) {
      const address = this.#large.pop();
      if (!address) return;
      this.#singles++;
      this.#options
        .single(address, this.#stop.signal)
        .then(
          (tensor) => this.#came(tensor),
          (error) => {
            if (this.#list.onFailed) this.#list.onFailed(address, error);
            else this.#fail(error);
          },
        )
        .finally(() => {
          this.#singles--;
          this.#askSingles();
          this.#news.tell();
        });
    }
  }

  async #recover(failures: number): Promise<void> {
    const { error } = this.#lost as { error: unknown };
    this.#lost = undefined;
    this.#batch = undefined;
    await this.#options.pauseOrThrow(error, failures, this.#stop.signal);
  }
}

function isRetryable(error: unknown): boolean {
  return error instanceof HeadraceError && error.retryable;
}
