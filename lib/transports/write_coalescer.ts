// This module runs in every runtime.
import type { Link } from "./link.ts";

/** Writes below this are copied and sent together with what follows. */
const SMALL_BYTES = 4 * 1024;
/** What is gathered at most before it is sent. */
const GATHER_BYTES = 16 * 1024;

/**
 * Sends each large write as it is, in one go with the small ones before it. Small ones are copied
 * and count as written while there is room; they leave at the latest once the running turn has
 * queued nothing more. Two fixed buffers take turns: one fills while the other is on its way.
 */
export class WriteCoalescer {
  readonly #link: Link;
  readonly #onError: (error: unknown) => void;
  #gathering: Uint8Array | undefined;
  #spare: Uint8Array | undefined;
  #gatheredBytes = 0;
  #queuedWrites = 0;
  #flushDue = false;
  #inFlight: Promise<void> | undefined;

  constructor(link: Link, onError: (error: unknown) => void) {
    this.#link = link;
    this.#onError = onError;
  }

  /** A write has entered the queue before this one; tells whether more will follow at once. */
  announce(): void {
    this.#queuedWrites++;
  }

  /** Takes one announced write; the promise, if any, is kept once the link has the bytes. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    this.#queuedWrites--;
    if (chunk.byteLength >= SMALL_BYTES) return this.#send(chunk);
    if (this.#gatheredBytes + chunk.byteLength > GATHER_BYTES) {
      return this.#send().then(() => this.#gather(chunk));
    }
    this.#gather(chunk);
    return undefined;
  }

  /** Sends what is gathered and waits until the link has it. */
  async flush(): Promise<void> {
    if (this.#gatheredBytes > 0) await this.#send();
    else await this.#inFlight;
  }

  #gather(chunk: Uint8Array): void {
    this.#gathering ??= new Uint8Array(GATHER_BYTES);
    this.#gathering.set(chunk, this.#gatheredBytes);
    this.#gatheredBytes += chunk.byteLength;
    this.#flushWhenQuiet();
  }

  /** The turn that wrote this may write more: a microtask later the queue shows it. */
  #flushWhenQuiet(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    queueMicrotask(() => {
      this.#flushDue = false;
      const idle = this.#inFlight === undefined && this.#queuedWrites === 0;
      if (idle && this.#gatheredBytes > 0) this.#send().catch(this.#onError);
    });
  }

  async #send(chunk?: Uint8Array): Promise<void> {
    // Only a send that nobody waits for can be under way here: a stream writes one at a time.
    if (this.#inFlight !== undefined) await this.#inFlight;
    const pieces: Uint8Array[] = [];
    const gathered = this.#gathering;
    if (gathered !== undefined && this.#gatheredBytes > 0) {
      pieces.push(gathered.subarray(0, this.#gatheredBytes));
      this.#gathering = this.#spare;
      this.#spare = undefined;
      this.#gatheredBytes = 0;
    }
    if (chunk !== undefined) pieces.push(chunk);
    const sent = this.#link.write(pieces);
    this.#inFlight = sent;
    await sent;
    this.#inFlight = undefined;
    if (pieces[0] !== chunk) this.#spare = gathered;
    if (this.#gatheredBytes > 0) this.#flushWhenQuiet();
  }
}
