// A sender with always more to send, over a link of a given rate and round trip, in its own time.
import type { InFlight } from "../../lib/streams/in_flight.ts";

/** How a link is; it may change from one run to the next. */
export interface LinkShape {
  readonly bytesPerMs: number;
  readonly rttMs: number;
}

/** What came of a run. */
export interface Run {
  /** The share of what the link could carry that the other end got. */
  readonly share: number;
  /** The most that was under way. */
  readonly mostBytes: number;
}

const PIECE_BYTES = 64 * 1024;
const PING_BYTES = 28;

/** Writes whatever `flight` lets it. */
export class SimulatedSender {
  readonly #flight: InFlight;
  #shape: LinkShape = { bytesPerMs: 1, rttMs: 0 };
  #answers: { readonly atMs: number; readonly totalBytes: number }[] = [];
  #nowMs = 0;
  #sentBytes = 0;
  /** When the link has carried all that was put on it. */
  #freeAtMs = 0;
  #mostBytes = 0;
  /** What is on its way, and when it is there. */
  #pieces: { readonly atMs: number; readonly bytes: number }[] = [];

  constructor(flight: InFlight) {
    this.#flight = flight;
  }

  /** Sends for so long over a link that is like this from now on. */
  run(shape: LinkShape, forMs: number): Run {
    this.#shape = shape;
    this.#mostBytes = 0;
    const endMs = this.#nowMs + forMs;
    this.#send();
    for (;;) {
      const next = this.#answers[0];
      if (!next || next.atMs >= endMs) break;
      this.#answers.shift();
      this.#nowMs = next.atMs;
      this.#flight.arrived(next.totalBytes, next.atMs);
      this.#send();
    }
    this.#nowMs = endMs;
    const arrived = this.#pieces.filter(({ atMs }) => atMs <= endMs);
    this.#pieces = this.#pieces.filter(({ atMs }) => atMs > endMs);
    const arrivedBytes = arrived.reduce((sum, { bytes }) => sum + bytes, 0);
    return { share: arrivedBytes / (shape.bytesPerMs * forMs), mostBytes: this.#mostBytes };
  }

  #send(): void {
    const flight = this.#flight;
    for (;;) {
      if (flight.isProbeDue(this.#nowMs)) this.#ask();
      if (!flight.hasRoom(this.#nowMs)) return;
      this.#pieces.push({ atMs: this.#put(PIECE_BYTES), bytes: PIECE_BYTES });
      flight.sent(this.#sentBytes, this.#nowMs);
      this.#mostBytes = Math.max(this.#mostBytes, flight.bytes);
    }
  }

  #ask(): void {
    const { rttMs } = this.#shape;
    const atMs = this.#put(PING_BYTES) + rttMs / 2;
    this.#flight.probed(this.#sentBytes, this.#nowMs);
    this.#answers.push({ atMs, totalBytes: this.#sentBytes });
    this.#answers.sort((a, b) => a.atMs - b.atMs);
  }

  /** Puts bytes on the link. @returns when the other end has them. */
  #put(bytes: number): number {
    const { bytesPerMs, rttMs } = this.#shape;
    this.#freeAtMs = Math.max(this.#freeAtMs, this.#nowMs) + bytes / bytesPerMs;
    this.#sentBytes += bytes;
    return this.#freeAtMs + rttMs / 2;
  }
}
