// This module runs in every runtime.

/** Messages are joined up to this length, so that what is held costs little more than its bytes. */
const JOINED_BYTES = 4096;

/**
 * Bytes that came as messages and wait to be read. A message of one byte would cost a hundred times
 * that by itself; here any two neighbours have more than `JOINED_BYTES` together.
 */
export class MessageQueue {
  readonly #pieces: Uint8Array[] = [];
  /** The memory of the last piece, where it is this queue's own and may have room. */
  #block: Uint8Array | undefined;

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Adds a message, whose memory is the queue's from now on. */
  push(bytes: Uint8Array): void {
    const last = this.#pieces.at(-1);
    const joinedBytes = (last?.byteLength ?? 0) + bytes.byteLength;
    if (last === undefined || joinedBytes > JOINED_BYTES) {
      this.#pieces.push(bytes);
      this.#block = undefined;
      return;
    }
    if (this.#block === undefined) {
      this.#block = new Uint8Array(JOINED_BYTES);
      this.#block.set(last);
    }
    this.#block.set(bytes, last.byteLength);
    this.#pieces[this.#pieces.length - 1] = this.#block.subarray(0, joinedBytes);
  }

  /** Takes what came first. */
  shift(): Uint8Array | undefined {
    const first = this.#pieces.shift();
    // Whoever reads it has it for good.
    if (this.isEmpty) this.#block = undefined;
    return first;
  }

  /** Lets go of everything. */
  clear(): void {
    this.#pieces.length = 0;
    this.#block = undefined;
  }
}
