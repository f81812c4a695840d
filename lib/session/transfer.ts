// This module runs in every runtime.
import { deferred } from "../deferred.ts";
import type { TensorAddress } from "../tensor/address.ts";
import { toHex } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TransferProgress } from "../tensor/progress.ts";
import { type TypedArray, typedArrayOf } from "../tensor/typed_array.ts";
import { progressStream } from "./progress_stream.ts";
import { checkPriority } from "./scheduler.ts";
import type { TransferMeter } from "./transfer_meter.ts";
import type { Verified } from "./verdict.ts";

/** Where a transfer is in its life. */
export type TransferStatus = "initializing" | "in_progress" | "complete" | "failed" | "cancelled";

/** What goes on inside a status. */
export type TransferPhase =
  | "connecting"
  | "moving"
  | "verifying"
  | "retrying"
  | "paused"
  | Exclude<TransferStatus, "initializing" | "in_progress">;

/** What the peer that owns a transfer does with it. */
export interface TransferControls {
  readonly id: Uint8Array;
  readonly address: TensorAddress;
  readonly direction: "in" | "out";
  readonly priority: number;
  readonly meter: TransferMeter;
  /** The bytes as they are verified, for a transfer that was asked for as a stream. */
  readonly readable?: ReadableStream<Uint8Array>;
  /** Gives the whole tensor, for a transfer that was asked for into memory. */
  readonly takeBytes?: () => Uint8Array;
  /** Ends what is going on. */
  readonly abort: (reason: unknown) => void;
  /** Tells the other end of another priority. */
  readonly reprioritise: (priority: number) => void;
  /** Tells the other end of a pause, or of its end. */
  readonly pause: (isPaused: boolean) => void;
}

/**
 * One tensor moving in one direction, over as many connections as it takes. Made by
 * `TensorPeer.requestTensor` and `TensorPeer.streamTensor`.
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
 * await using server = new TensorPeer(there, { store, accepted: true });
 * await using client = new TensorPeer(here);
 *
 * const transfer = client.requestTensor(address, { into: "memory" });
 * transfer.priority = 200; // at any time
 * console.log(await transfer.tensor()); // Float32Array(3) [ 1, 2, 3 ]
 * console.log(transfer.status, transfer.verified, transfer.progress.bytes); // complete root 12
 * ```
 */
export class Transfer {
  /** The transfer's random id in hexadecimal, the same at both ends. */
  readonly id: string;
  readonly address: TensorAddress;
  readonly direction: "in" | "out";
  readonly #controls: TransferControls;
  readonly #done = deferred<void>();
  #status: TransferStatus = "initializing";
  #phase: TransferPhase = "connecting";
  #priority: number;
  #isPausedHere = false;
  #isPausedThere = false;
  #descriptor: TensorDescriptor | undefined;
  #root: Uint8Array | undefined;
  #verified: Verified | undefined;
  #lastError: unknown;
  /** Where it stood at its end. */
  #final: TransferProgress | undefined;

  constructor(controls: TransferControls) {
    this.#controls = controls;
    this.id = toHex(controls.id);
    this.address = controls.address;
    this.direction = controls.direction;
    this.#priority = checkPriority(controls.priority);
  }

  /** Fulfils when the receiver has verified everything; rejects with the error or the abort's reason. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  get status(): TransferStatus {
    return this.#status;
  }

  /** What goes on inside `in_progress`: `connecting`, `moving`, `verifying`, `paused`, `retrying`. */
  get phase(): TransferPhase {
    return this.isPaused && !this.isOver ? "paused" : this.#phase;
  }

  /** 0 to 255; a higher one goes first. What is set is told to the other end at once. */
  get priority(): number {
    return this.#priority;
  }

  /** @throws {RangeError} for anything but a whole number from 0 to 255. */
  set priority(priority: number) {
    if (checkPriority(priority) === this.#priority || this.isOver) return;
    this.#priority = priority;
    this.#controls.reprioritise(priority);
  }

  /** Whether either end has paused the transfer. */
  get isPaused(): boolean {
    return this.#isPausedHere || this.#isPausedThere;
  }

  /** What the tensor is, as soon as that is known. */
  get descriptor(): TensorDescriptor | undefined {
    return this.#descriptor;
  }

  /** The root that was verified, once the transfer is complete; none without digests. */
  get root(): Uint8Array | undefined {
    return this.#root;
  }

  /**
   * How far everything was checked, once the transfer is complete: `root`, against the tensor's
   * root; `digests`, against the leaves' digests, because the sender does not know the root yet or
   * has no way to say it; `checksums`, no more than that nothing was damaged on the way; `length`,
   * no more than that as many bytes came as were promised.
   */
  get verified(): Verified | undefined {
    return this.#verified;
  }

  /** Where the transfer stands now; once it is over, where it stood at its end. */
  get progress(): TransferProgress {
    return this.#final ?? this.#controls.meter.progress;
  }

  /** What the last attempt that failed has failed with; `undefined` while none has. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /**
   * Where the transfer stands, again and again while that changes, and once more at its end. Who
   * reads slowly gets the newest only.
   *
   * @param options.intervalMs How long between two, at least; default 100.
   *
   * @example
   * ```ts
   * import { MemoryStore, TensorPeer } from "headrace";
   * import { connectionPair } from "headrace/memory";
   *
   * const address = { model: "m", partition: "default", tensor: "w" };
   * const store = new MemoryStore();
   * store.set(address, new Uint8Array(1000));
   * const [here, there] = connectionPair();
   * await using server = new TensorPeer(there, { store, accepted: true });
   * await using client = new TensorPeer(here);
   * const transfer = client.requestTensor(address, { into: "memory" });
   * const reader = transfer.watch().getReader();
   * for (let next = await reader.read(); !next.done; next = await reader.read()) {
   *   console.log(next.value.bytes, next.value.totalBytes);
   * }
   * ```
   */
  watch(options: { readonly intervalMs?: number } = {}): ReadableStream<TransferProgress> {
    const { meter } = this.#controls;
    return progressStream(() => this.progress, this.done, meter.clock, options.intervalMs);
  }

  /**
   * The tensor's bytes in order, each verified before it comes out.
   *
   * @throws {TypeError} unless the tensor was requested `into: "stream"`.
   */
  get readable(): ReadableStream<Uint8Array> {
    if (this.#controls.readable) return this.#controls.readable;
    throw new TypeError('Only a tensor requested into: "stream" can be read as it comes');
  }

  /**
   * The whole tensor, or the part that was asked for, once it is verified.
   *
   * @throws {TypeError} unless the tensor was requested `into: "memory"`.
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
   * const part = client.requestTensor(address, { bytes: [4, 8], into: "memory" });
   * console.log(await part.bytes()); // Uint8Array(4) [ 0, 0, 0, 64 ]
   * ```
   */
  async bytes(): Promise<Uint8Array> {
    const { takeBytes } = this.#controls;
    if (!takeBytes) throw new TypeError('Only a tensor requested into: "memory" can be had whole');
    await this.done;
    return takeBytes();
  }

  /**
   * As `bytes`, as the typed array of the tensor's dtype: see `typedArrayOf`.
   *
   * @throws {TypeError} as `bytes`.
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
   * const transfer = client.requestTensor(address, { into: "memory" });
   * console.log(await transfer.tensor()); // Float32Array(3) [ 1, 2, 3 ]
   * ```
   */
  async tensor(): Promise<TypedArray> {
    const bytes = await this.bytes();
    return typedArrayOf(this.#descriptor?.dtype ?? "U8", bytes);
  }

  /**
   * Lets no new chunk begin, at whichever end sends; what is under way still comes.
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
   * const transfer = client.requestTensor(address, { into: "memory" });
   * transfer.pause();
   * console.log(transfer.isPaused); // true
   * transfer.resume();
   * await transfer.done;
   * ```
   */
  pause(): void {
    this.#pause(true);
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#pause(false);
  }

  /**
   * Ends the transfer at both ends; `done` rejects with the reason. Without effect once it is over.
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
   * transfer.cancel(new Error("the user left"));
   * await transfer.done.catch((reason) => console.log(reason.message)); // the user left
   * console.log(transfer.status); // cancelled
   * ```
   */
  cancel(reason: unknown = new DOMException("The transfer was cancelled", "AbortError")): void {
    this.settle("cancelled", reason);
    this.#controls.abort(reason);
  }

  #pause(isPaused: boolean): void {
    if (this.isOver || isPaused === this.#isPausedHere) return;
    this.#isPausedHere = isPaused;
    this.#controls.pause(isPaused);
  }

  /** For the peer: whether this end has paused the transfer. */
  get isPausedHere(): boolean {
    return this.#isPausedHere;
  }

  /** For the peer: the other end gave it another priority. */
  reprioritised(priority: number): void {
    this.#priority = priority;
  }

  /** For the peer: the other end paused it, or let it go on. */
  pausedThere(isPaused: boolean): void {
    this.#isPausedThere = isPaused;
  }

  /** For the peer: the transfer moves, or has come to a new phase. */
  enter(phase: TransferPhase, descriptor?: TensorDescriptor): void {
    if (this.isOver) return;
    this.#status = "in_progress";
    this.#phase = phase;
    this.#descriptor = descriptor ?? this.#descriptor;
  }

  /** For the peer: an attempt has failed, and another one may follow. */
  attemptFailed(error: unknown): void {
    if (!this.isOver) this.#lastError = error;
  }

  /** For the peer: everything is here, checked as far as `verified` says. */
  complete(root: Uint8Array | undefined, verified: Verified | undefined): void {
    if (this.isOver) return;
    this.#root = root;
    this.#verified = verified;
    this.#end("complete");
    this.#done.resolve();
  }

  /** For the peer: the transfer has ended before its time; the first call wins. */
  settle(status: "failed" | "cancelled", reason: unknown): void {
    if (this.isOver) return;
    this.#lastError = reason;
    this.#end(status);
    this.#done.reject(reason);
  }

  /** What still comes of it afterwards does not count: what was reported stays true. */
  #end(status: "complete" | "failed" | "cancelled"): void {
    this.#status = status;
    this.#phase = status;
    this.#final = this.#controls.meter.progress;
  }

  /** Whether the transfer has ended, one way or the other. */
  get isOver(): boolean {
    return this.#status !== "initializing" && this.#status !== "in_progress";
  }
}
