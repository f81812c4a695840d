// This module runs in every runtime.
import { deferred } from "../deferred.ts";
import type { TensorAddress } from "../tensor/address.ts";
import { toHex } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TransferProgress } from "../tensor/progress.ts";
import type { TransferMeter } from "./transfer_meter.ts";

/** Where a transfer is in its life. */
export type TransferStatus = "initializing" | "in_progress" | "complete" | "failed" | "cancelled";

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
}

/**
 * One tensor moving in one direction, over as many connections as it takes. Made by
 * `TensorPeer.requestTensor` and `TensorPeer.streamTensor`.
 */
export class Transfer {
  /** The transfer's random id in hexadecimal, the same at both ends. */
  readonly id: string;
  readonly address: TensorAddress;
  readonly direction: "in" | "out";
  /** 0 to 255; a higher one goes first. */
  readonly priority: number;
  readonly #controls: TransferControls;
  readonly #done = deferred<void>();
  #status: TransferStatus = "initializing";
  #phase = "connecting";
  #descriptor: TensorDescriptor | undefined;
  #root: Uint8Array | undefined;

  constructor(controls: TransferControls) {
    this.#controls = controls;
    this.id = toHex(controls.id);
    this.address = controls.address;
    this.direction = controls.direction;
    this.priority = controls.priority;
  }

  /** Fulfils when the receiver has verified everything; rejects with the error or the abort's reason. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  get status(): TransferStatus {
    return this.#status;
  }

  /** What goes on inside `in_progress`: `connecting`, `moving`, `verifying`, `retrying`. */
  get phase(): string {
    return this.#phase;
  }

  /** What the tensor is, as soon as that is known. */
  get descriptor(): TensorDescriptor | undefined {
    return this.#descriptor;
  }

  /** The root that was verified, once the transfer is complete; none without digests. */
  get root(): Uint8Array | undefined {
    return this.#root;
  }

  /** Where the transfer stands now. */
  get progress(): TransferProgress {
    return this.#controls.meter.progress;
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
   * The whole tensor, once it is verified.
   *
   * @throws {TypeError} unless the tensor was requested `into: "memory"`.
   */
  async bytes(): Promise<Uint8Array> {
    const { takeBytes } = this.#controls;
    if (!takeBytes) throw new TypeError('Only a tensor requested into: "memory" can be had whole');
    await this.done;
    return takeBytes();
  }

  /** Ends the transfer at both ends; `done` rejects with the reason. Without effect once it is over. */
  cancel(reason: unknown = new DOMException("The transfer was cancelled", "AbortError")): void {
    this.settle("cancelled", reason);
    this.#controls.abort(reason);
  }

  /** For the peer: the transfer moves, or has come to a new phase. */
  enter(phase: string, descriptor?: TensorDescriptor): void {
    if (this.isOver) return;
    this.#status = "in_progress";
    this.#phase = phase;
    this.#descriptor = descriptor ?? this.#descriptor;
  }

  /** For the peer: everything is verified, by this root. */
  complete(root: Uint8Array | undefined): void {
    if (this.isOver) return;
    this.#root = root;
    this.#status = "complete";
    this.#phase = "complete";
    this.#done.resolve();
  }

  /** For the peer: the transfer has ended before its time; the first call wins. */
  settle(status: "failed" | "cancelled", reason: unknown): void {
    if (this.isOver) return;
    this.#status = status;
    this.#phase = status;
    this.#done.reject(reason);
  }

  /** Whether the transfer has ended, one way or the other. */
  get isOver(): boolean {
    return this.#status !== "initializing" && this.#status !== "in_progress";
  }
}
