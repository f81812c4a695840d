// This module runs in every runtime.

const LEAST_BYTES = 64 * 1024;
const MOST_BYTES = 1024 * 1024;
/** What an urgent fragment may have to wait behind one that is being written. */
const WAIT_MS = 1;
/** How much of the past still counts after each write. */
const MEMORY = 0.9;

/**
 * Says how long a fragment may be: what the link drains in a millisecond, from 64 KiB to 1 MiB. On
 * a fast link a whole chunk goes out in one write; on a slow one nobody waits long behind it.
 */
export class FragmentSizer {
  #bytes = 0;
  #ms = 0;

  /** A write of this many bytes was taken by the link after so long. */
  wrote(bytes: number, ms: number): void {
    this.#bytes = this.#bytes * MEMORY + bytes;
    this.#ms = this.#ms * MEMORY + ms;
  }

  /** Data bytes for the next CHUNK frame. */
  get fragmentBytes(): number {
    if (this.#bytes === 0) return LEAST_BYTES;
    const drained = this.#ms === 0 ? MOST_BYTES : (this.#bytes / this.#ms) * WAIT_MS;
    const whole = Math.floor(drained / LEAST_BYTES) * LEAST_BYTES;
    return Math.min(MOST_BYTES, Math.max(LEAST_BYTES, whole));
  }
}
