import type { Socket } from "node:net";
import { DelayLine } from "./delay_line.ts";
import type { Shape } from "./shape.ts";

const TICK_MS = 1;
/** What leaves at once, about a packet. */
const SLICE_BYTES = 1500;
/** A timer that comes later than this costs the link some of its rate. */
const CATCH_UP_MS = 10;

/** One direction of a link, for the bytes of any number of sockets: first come, first served. */
export class ThrottledLine {
  readonly #bytesPerMs: number;
  readonly #queueBytes: number;
  readonly #delay: DelayLine<() => void>;
  readonly #queue: { readonly byteLength: number; readonly arrive: () => void }[] = [];
  readonly #paused = new Set<Socket>();
  #queuedBytes = 0;
  #freeAtMs = 0;
  #isTimed = false;

  constructor({ bitsPerSecond, roundTripMs, queueBytes }: Shape) {
    this.#bytesPerMs = bitsPerSecond / 8 / 1000;
    this.#queueBytes = queueBytes;
    this.#delay = new DelayLine(roundTripMs / 2, (arrive) => arrive());
  }

  /** Carries what comes from one socket to the other, and its end. */
  join(from: Socket, to: Socket): void {
    from.on("data", (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) {
        const slice = bytes.subarray(at, at + SLICE_BYTES);
        this.#push(slice.byteLength, () => void to.write(slice));
      }
      if (this.#queuedBytes >= this.#queueBytes) {
        this.#paused.add(from);
        from.pause();
      }
    });
    from.once("end", () => this.#push(0, () => to.end()));
    from.on("error", () => this.#push(0, () => to.destroy()));
  }

  #push(byteLength: number, arrive: () => void): void {
    this.#queue.push({ byteLength, arrive });
    this.#queuedBytes += byteLength;
    if (!this.#isTimed) this.#drain();
  }

  #drain(): void {
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - CATCH_UP_MS);
    while (this.#freeAtMs < nowMs + TICK_MS) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#freeAtMs += next.byteLength / this.#bytesPerMs;
      this.#queuedBytes -= next.byteLength;
      this.#delay.push(next.arrive);
      if (this.#queuedBytes < this.#queueBytes) this.#resume();
    }
    this.#isTimed = true;
    setTimeout(() => {
      this.#isTimed = false;
      this.#drain();
    }, TICK_MS);
  }

  #resume(): void {
    for (const socket of this.#paused) socket.resume();
    this.#paused.clear();
  }
}
