// This module runs in every runtime.
import { type Clock, sleep } from "../clock.ts";
import type { Fault } from "./fault.ts";
import { FaultCursor, type FaultStep, type TimedFault } from "./fault_cursor.ts";
import { Shaper } from "./shaper.ts";

/** What has happened on one way of a connection so far. */
export interface WayReport {
  /** Bytes that the sender has written, swallowed ones included. */
  readonly takenBytes: number;
  /** Bytes that were passed on, those that came twice counted twice. */
  readonly passedBytes: number;
  /** The faults that have happened, in order. */
  readonly happened: readonly Fault[];
}

/** Where a {@linkcode FaultyWay} leads, and what goes wrong on it. */
export interface FaultyWayOptions {
  readonly faults: readonly Fault[];
  readonly clock: Clock;
  /** Takes bytes; kept once the buffer may be used again. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Kept once the other end has what was written, as far as that can be known. */
  readonly flush?: () => Promise<void>;
  /** Ends the way in order. */
  readonly end: () => Promise<void>;
  /** Resets the connection. */
  readonly cut: () => void;
  /** Ends both ways of the connection in order. */
  readonly close: () => void;
  /** The way has failed, while nobody waited for it. */
  readonly onError: (error: unknown) => void;
}

/** One way of a connection: takes bytes, lets the faults happen to them, and passes them on. */
export class FaultyWay {
  readonly #options: FaultyWayOptions;
  readonly #cursor: FaultCursor;
  readonly #shaper: Shaper;
  readonly #stop = new AbortController();
  readonly #report: { takenBytes: number; passedBytes: number; happened: readonly Fault[] };
  readonly #begun: Promise<void>;

  constructor(options: FaultyWayOptions) {
    this.#options = options;
    this.#cursor = new FaultCursor(options.faults);
    this.#report = { takenBytes: 0, passedBytes: 0, happened: this.#cursor.happened };
    this.#shaper = new Shaper({
      clock: options.clock,
      signal: this.#stop.signal,
      write: (bytes) => this.#write(bytes),
      onError: options.onError,
    });
    this.#begun = this.#walk(new Uint8Array());
    this.#begun.catch((error) => {
      if (!this.#stop.signal.aborted) options.onError(error);
    });
  }

  /** Counts on for as long as the way is used; holds on to nothing of it. */
  get report(): WayReport {
    return this.#report;
  }

  /** Takes the next bytes; kept once there is room for more and the buffer may be used again. */
  async take(bytes: Uint8Array): Promise<void> {
    await this.#begun;
    await this.#walk(bytes);
  }

  /** The sender has no more; kept once all of it is passed on, and the end with it. */
  async end(): Promise<void> {
    await this.#begun;
    await this.#shaper.drained();
    await this.#options.end();
  }

  /** Gives up what is on its way; whoever waits gets the reason. No timer is left behind. */
  stop(reason: unknown): void {
    this.#stop.abort(reason);
  }

  async #walk(bytes: Uint8Array): Promise<void> {
    for (const step of this.#cursor.take(bytes)) {
      this.#report.takenBytes = this.#cursor.takenBytes;
      await this.#perform(step);
    }
    this.#report.takenBytes = this.#cursor.takenBytes;
  }

  async #perform(step: FaultStep): Promise<void> {
    if ("pass" in step) await this.#shaper.pass(step.pass);
    else await this.#happen(step.fault);
  }

  async #happen(fault: TimedFault): Promise<void> {
    const { signal } = this.#stop;
    switch (fault.kind) {
      case "throttle": {
        const { bytesPerSecond: rate, bufferBytes } = fault;
        this.#shaper.setRate(rate === "unlimited" ? Number.POSITIVE_INFINITY : rate, bufferBytes);
        return;
      }
      case "delay":
        this.#shaper.setDelay(fault.delayMs);
        return;
      case "stall":
        if (fault.forMs === "ever") return this.#never();
        return sleep(this.#options.clock, fault.forMs, signal);
      case "cut":
        await this.#passAll();
        this.#options.cut();
        return this.#never();
      case "half_close":
        await this.#passAll();
        await this.#options.end();
        return this.#never();
      case "truncate":
        await this.#passAll();
        this.#options.close();
        return this.#never();
    }
  }

  async #passAll(): Promise<void> {
    await this.#shaper.drained();
    await this.#options.flush?.();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#options.write(bytes);
    this.#report.passedBytes += bytes.byteLength;
  }

  /** Until the way is stopped. */
  #never(): Promise<never> {
    const { signal } = this.#stop;
    return new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }
}
