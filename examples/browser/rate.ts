/** How fast something grows, over the last three seconds. */
export class Rate {
  readonly #samples: { readonly atMs: number; readonly total: number }[] = [];

  note(atMs: number, total: number): void {
    this.#samples.push({ atMs, total });
    while ((this.#samples[0]?.atMs ?? atMs) < atMs - 3000) this.#samples.shift();
  }

  /** Growth a second. */
  get perSecond(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.atMs === first.atMs) return 0;
    return Math.max(0, ((last.total - first.total) * 1000) / (last.atMs - first.atMs));
  }
}
