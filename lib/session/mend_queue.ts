// This module runs in every runtime.

/**
 * Leaves of a tensor that turned out wrong at its end, asked for again a few at a time: what is sent
 * again needs no credit, so nothing else bounds what comes at once. Arithmetic only.
 */
export class MendQueue {
  readonly #mostAtOnce: number;
  readonly #ask: (leaves: readonly number[]) => void;
  /** Those that are not asked for yet, the last one first. */
  readonly #waiting: number[] = [];
  readonly #asked = new Set<number>();

  /**
   * @param mostAtOnce Leaves that may be on their way.
   * @param ask Asks for leaves.
   */
  constructor(mostAtOnce: number, ask: (leaves: readonly number[]) => void) {
    this.#mostAtOnce = mostAtOnce;
    this.#ask = ask;
  }

  /** How many are not asked for yet. */
  get size(): number {
    return this.#waiting.length;
  }

  /** These have to come again. */
  begin(leaves: readonly number[]): void {
    for (const leaf of [...leaves].reverse()) this.#waiting.push(leaf);
    this.#askMore();
  }

  /** A leaf is safe. */
  safe(leaf: number): void {
    if (this.#asked.delete(leaf)) this.#askMore();
  }

  #askMore(): void {
    // Told again only when half of them are here: each asking costs a frame and a COMPLETE.
    if (this.#waiting.length === 0 || this.#asked.size > this.#mostAtOnce / 2) return;
    const leaves: number[] = [];
    while (this.#asked.size < this.#mostAtOnce) {
      const leaf = this.#waiting.pop();
      if (leaf === undefined) break;
      leaves.push(leaf);
      this.#asked.add(leaf);
    }
    this.#ask(leaves);
  }
}
