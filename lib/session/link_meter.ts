// This module runs in every runtime.
import type { Clock } from "../clock.ts";

/** With less than this under way, how long an answer takes says more of the peer than of the link. */
const BUSY_BYTES = 1024 * 1024;

/**
 * Measures how fast a link takes bytes by when the other end says that it has them. How long a
 * write blocks tells too little: buffers on the way take megabytes at once, whatever the link's rate.
 */
export class LinkMeter {
  readonly #clock: Clock;
  readonly #onDrained: (bytes: number, elapsedMs: number) => void;
  #inFlightBytes = 0;
  #sinceMs = 0;

  /** @param onDrained Told of bytes that arrived, and how long the link was busy with them. */
  constructor(clock: Clock, onDrained: (bytes: number, elapsedMs: number) => void) {
    this.#clock = clock;
    this.#onDrained = onDrained;
  }

  /** So many bytes are about to be written. */
  sent(bytes: number): void {
    const wasBusy = this.#isBusy;
    this.#inFlightBytes += bytes;
    if (!wasBusy) this.#sinceMs = this.#clock.now();
  }

  /** The other end has so many bytes more. */
  arrived(bytes: number): void {
    if (bytes <= 0) return;
    const wasBusy = this.#isBusy;
    this.#inFlightBytes -= bytes;
    if (!wasBusy) return;
    const nowMs = this.#clock.now();
    this.#onDrained(bytes, nowMs - this.#sinceMs);
    this.#sinceMs = nowMs;
  }

  /** Of so many bytes nothing more will be heard. */
  lost(bytes: number): void {
    this.#inFlightBytes -= bytes;
  }

  get #isBusy(): boolean {
    return this.#inFlightBytes >= BUSY_BYTES;
  }
}
