// This module runs in every runtime.
import { type Clock, sleep } from "../clock.ts";
import { News } from "../deferred.ts";

/** What waits for its turn at once where nothing else is said. */
const DEFAULT_BUFFER_BYTES = 64 * 1024;
/** What may be on its way of a link that has a delay and no rate. */
const UNLIMITED_BUFFER_BYTES = 1024 * 1024;
/** A link of known rate passes bytes in steps of this, so that its flow is even. */
const STEP_MS = 4;
/** A step is not below a packet. */
const LEAST_STEP_BYTES = 1460;

interface Held {
  readonly bytes: Uint8Array;
  readonly dueMs: number;
}

/** How a {@linkcode Shaper} passes bytes on. */
export interface ShaperOptions {
  readonly clock: Clock;
  /** Takes bytes; kept once the buffer may be used again. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Ends all waiting; whoever waits gets its reason. */
  readonly signal: AbortSignal;
  /** Told when passing on has failed while nobody waited for it. */
  readonly onError: (error: unknown) => void;
}

/**
 * A link of known rate and latency in front of a writer: bytes wait for their turn in a bounded
 * buffer, then for as long as the way takes, and keep their order. Without either they go through at
 * once, uncopied.
 */
export class Shaper {
  readonly #options: ShaperOptions;
  readonly #queue: Held[] = [];
  readonly #news = new News();
  #bytesPerMs = Number.POSITIVE_INFINITY;
  #delayMs = 0;
  #mostBytes = UNLIMITED_BUFFER_BYTES;
  #bufferBytes = DEFAULT_BUFFER_BYTES;
  #heldBytes = 0;
  /** When the last byte has had its turn. */
  #freeAtMs = 0;
  #lastDueMs = 0;
  #isRunning = false;

  constructor(options: ShaperOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#news.tell(), { once: true });
  }

  /** Bytes on their way. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** What follows passes at this rate. */
  setRate(bytesPerSecond: number, bufferBytes: number = DEFAULT_BUFFER_BYTES): void {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#bufferBytes = bufferBytes;
    this.#resize();
  }

  /** What follows takes this long. */
  setDelay(delayMs: number): void {
    this.#delayMs = delayMs;
    this.#resize();
  }

  /** Passes bytes on; kept once there is room for more and the buffer may be used again. */
  async pass(bytes: Uint8Array): Promise<void> {
    const { write, clock } = this.#options;
    const isFree = this.#bytesPerMs === Number.POSITIVE_INFINITY && this.#delayMs === 0;
    if (isFree && !this.#isRunning) return write(bytes);
    const stepBytes = Math.min(
      Math.max(LEAST_STEP_BYTES, Math.floor(this.#bytesPerMs * STEP_MS)),
      this.#bufferBytes,
    );
    for (let at = 0; at < bytes.byteLength; at += stepBytes) {
      const piece = new Uint8Array(bytes.subarray(at, at + stepBytes));
      while (this.#heldBytes > 0 && this.#heldBytes + piece.byteLength > this.#mostBytes) {
        await this.#wait();
      }
      const nowMs = clock.now();
      this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + piece.byteLength / this.#bytesPerMs;
      // A delay that becomes shorter lets nothing overtake.
      this.#lastDueMs = Math.max(this.#lastDueMs, this.#freeAtMs + this.#delayMs);
      this.#queue.push({ bytes: piece, dueMs: this.#lastDueMs });
      this.#heldBytes += piece.byteLength;
      if (!this.#isRunning) void this.#run();
    }
  }

  /** Kept once everything has been passed on. */
  async drained(): Promise<void> {
    while (this.#isRunning) await this.#wait();
  }

  async #wait(): Promise<void> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    await this.#news.wait();
    signal.throwIfAborted();
  }

  async #run(): Promise<void> {
    const { clock, write, signal, onError } = this.#options;
    this.#isRunning = true;
    try {
      for (let next = this.#queue[0]; next; next = this.#queue[0]) {
        const waitMs = next.dueMs - clock.now();
        // Timers of some runtimes leave out what is below a millisecond: a link is never early.
        if (waitMs > 0) await sleep(clock, Math.ceil(waitMs), signal);
        signal.throwIfAborted();
        await write(next.bytes);
        this.#queue.shift();
        this.#heldBytes -= next.bytes.byteLength;
        this.#news.tell();
      }
    } catch (error) {
      if (!signal.aborted) onError(error);
    } finally {
      this.#isRunning = false;
      this.#news.tell();
    }
  }

  /** A link holds what waits, and what its length and rate have room for. */
  #resize(): void {
    const isLimited = this.#bytesPerMs !== Number.POSITIVE_INFINITY;
    this.#mostBytes = isLimited
      ? this.#bufferBytes + this.#bytesPerMs * this.#delayMs
      : UNLIMITED_BUFFER_BYTES;
  }
}
