// This module runs in every runtime.

interface Waiting {
  readonly bytes: number;
  readonly start: (release: () => void) => void;
}

/**
 * Bytes that may be on their way at once, handed out first come, first served. What is larger than
 * the whole budget gets it alone, so that nothing waits for ever.
 */
export class Budget {
  readonly #totalBytes: number;
  readonly #waiting: Waiting[] = [];
  #takenBytes = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  /** @returns the function that gives the bytes back, once there is room for them. */
  take(bytes: number): Promise<() => void> {
    return new Promise((start) => {
      this.#waiting.push({ bytes, start });
      this.#next();
    });
  }

  #next(): void {
    const [first] = this.#waiting;
    if (!first) return;
    if (this.#takenBytes > 0 && this.#takenBytes + first.bytes > this.#totalBytes) return;
    this.#waiting.shift();
    this.#takenBytes += first.bytes;
    let isOut = true;
    first.start(() => {
      if (!isOut) return;
      isOut = false;
      this.#takenBytes -= first.bytes;
      this.#next();
    });
    this.#next();
  }
}
