import type { Claim, Scheduler } from "../../../mod.ts";

/** What a transfer has in the line at once: as much as its window lets it send. */
const WINDOW_BYTES = 8 * 1024 * 1024;

interface Ticket {
  readonly number: number;
  leftBytes: number;
}

/**
 * First come, first served, as one queue before the link does it: whoever has something to send
 * stands in line with a window's bytes, is served to their end, and joins at the back again.
 */
export class FirstComeScheduler<T extends Claim = Claim> implements Scheduler<T> {
  readonly #entered = new Set<T>();
  readonly #tickets = new WeakMap<T, Ticket>();
  #next = 0;

  get size(): number {
    return this.#entered.size;
  }

  enter(claim: T): void {
    this.#entered.add(claim);
    if (!this.#tickets.has(claim)) this.#join(claim);
  }

  leave(claim: T): void {
    this.#entered.delete(claim);
  }

  next(_nowMs: number, mayGo: (claim: T) => boolean = () => true): T | undefined {
    let first: T | undefined;
    for (const claim of this.#entered) {
      const isEarlier = !first || this.#numberOf(claim) < this.#numberOf(first);
      if (mayGo(claim) && isEarlier) first = claim;
    }
    return first;
  }

  served(claim: T, bytes: number): void {
    const ticket = this.#tickets.get(claim);
    if (!ticket) return;
    ticket.leftBytes -= bytes;
    if (ticket.leftBytes <= 0) this.#join(claim);
  }

  #join(claim: T): void {
    this.#tickets.set(claim, { number: this.#next++, leftBytes: WINDOW_BYTES });
  }

  #numberOf(claim: T): number {
    return this.#tickets.get(claim)?.number ?? 0;
  }
}
