// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Duplex } from "../connection.ts";
import { News } from "../deferred.ts";
import { TransportError } from "../errors.ts";
import { encodeChecked } from "../wire/control.ts";
import { FRAME } from "../wire/frame_header.ts";
import { encodeNumber } from "../wire/pages.ts";
import { type Drained, InFlight } from "./in_flight.ts";

/** A PING frame: header, number and check. */
const PING_BYTES = 16 + 8 + 4;

/** One ordered byte path of a link, as it is written: counted, and asked how much of it has come. */
export class FrameLane {
  /** 0 for the first lane, which a link always has. */
  readonly index: number;
  /** How much of what was written has not come to the other end yet. */
  readonly flight: InFlight;
  /** Tells when something may have room again, and when the link is over. */
  readonly room: News = new News();
  readonly #duplex: Pick<Duplex, "prioritise">;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #clock: Clock;
  #priority: number | undefined;
  #sentBytes = 0;
  #isClosing = false;
  #isPongQueued = false;
  /** The last ping that is not answered yet. */
  #pingHeard: number | undefined;

  constructor(
    index: number,
    duplex: Pick<Duplex, "writable" | "prioritise" | "slack">,
    clock: Clock,
  ) {
    this.index = index;
    this.#duplex = duplex;
    this.flight = new InFlight(duplex.slack);
    this.#clock = clock;
    this.#writer = duplex.writable.getWriter();
    this.#writer.closed.catch(() => {});
  }

  /** Settles when nothing more can be written. */
  get closed(): Promise<void> {
    return this.#writer.closed;
  }

  /** Whether the last word is said: nothing can be written after it. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Bytes written so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /**
   * Writes parts of one frame back to back.
   *
   * @returns once the lane has the bytes and their buffers may be used again.
   */
  write(...parts: readonly Uint8Array[]): Promise<void> {
    if (this.#isClosing) {
      // The oldest runtimes take a write amid a close for a fault of their own.
      const late = Promise.reject(new TransportError("The other end was said goodbye"));
      late.catch(() => {});
      return late;
    }
    let last: Promise<void> = Promise.resolve();
    for (const part of parts) {
      this.#sentBytes += part.byteLength;
      last = this.#writer.write(part);
      last.catch(() => {});
    }
    this.flight.sent(this.#sentBytes, this.#clock.now());
    return last;
  }

  /** What is written from now on has this priority among lanes, where the transport knows such. */
  prioritise(priority: number): void {
    if (priority === this.#priority) return;
    this.#priority = priority;
    this.#duplex.prioritise?.(priority);
  }

  /** Asks the other end how much has come, by a ping behind all that is queued. */
  probe(): void {
    const value = this.#sentBytes + PING_BYTES;
    this.write(encodeChecked(FRAME.ping, 0, encodeNumber(value))).catch(() => {});
    this.flight.probed(value, this.#clock.now());
  }

  /** The other end asks. A flood of pings is answered by at most one pong at a time: the last ping's. */
  heardPing(value: number): void {
    this.#pingHeard = value;
    if (this.#isPongQueued) return;
    this.#isPongQueued = true;
    void this.#answer();
  }

  /** The other end answers. @returns what the lane drained, where it was busy all the time. */
  heardPong(value: number): Drained | undefined {
    const drained = this.flight.arrived(value, this.#clock.now());
    this.room.tell();
    return drained;
  }

  /** Closes the way out once everything queued has left. */
  close(): Promise<void> {
    this.#isClosing = true;
    return this.#writer.close();
  }

  async #answer(): Promise<void> {
    while (this.#pingHeard !== undefined) {
      const frame = encodeChecked(FRAME.pong, 0, encodeNumber(this.#pingHeard));
      this.#pingHeard = undefined;
      try {
        await this.write(frame);
      } catch {
        return; // The link has failed, and tells by itself.
      }
    }
    this.#isPongQueued = false;
  }
}
