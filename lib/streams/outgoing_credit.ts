// This module runs in every runtime.

/**
 * What the other end lets this one send on a connection: bytes of chunks before compression, all
 * transfers together, counted from the connection's beginning. Arithmetic only.
 */
export class OutgoingCredit {
  #limitBytes = 0;
  #usedBytes = 0;
  /** Called when there may be more. */
  onRaise: () => void = () => {};

  /** Bytes that may be sent now. */
  get leftBytes(): number {
    return this.#limitBytes - this.#usedBytes;
  }

  /** The other end takes this much in all; never less than it said before. */
  raise(limitBytes: number): void {
    this.#limitBytes = Math.max(this.#limitBytes, limitBytes);
    this.onRaise();
  }

  /** Takes what a chunk needs, if it is there. */
  take(bytes: number): boolean {
    if (bytes > this.leftBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** Gives back what was taken for a chunk of which nothing was sent. */
  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}
