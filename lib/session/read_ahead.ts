// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { OutgoingCredit } from "../streams/outgoing_credit.ts";
import type { Claim, Scheduler } from "./scheduler.ts";

/** Chunks of a connection that are read and encoded ahead of the link, at one priority or above. */
const MOST_AHEAD = 2;
/** Small ones count less: as many as take this much. */
const MOST_AHEAD_BYTES = 2 * 1024 * 1024;

interface Waiting {
  readonly bytes: number;
  readonly creditBytes: number;
  readonly start: (giveBack: GiveBack) => void;
}

/** Gives a place back; `unusedBytes` of its credit were not needed in the end. */
export type GiveBack = (unusedBytes?: number) => void;

/** What a claim gets that left before it had a place. */
export const NO_PLACE: GiveBack = () => {};

/**
 * Decides who may read and encode the next chunk. What is encoded cannot be overtaken any more but
 * by what goes out before it, so at most two chunks are ahead of the link; one of higher priority
 * waits only for those that are as urgent as itself, and one that has waited long for those that
 * are not more urgent. The connection's credit is taken here, in the same order; what needs none
 * does not wait for those who do, as it may be what gives them theirs.
 */
export class ReadAhead {
  readonly #scheduler: Scheduler<Claim>;
  readonly #credit: OutgoingCredit;
  readonly #clock: Clock;
  readonly #waiting = new Map<Claim, Waiting>();
  readonly #ahead = new Set<{ readonly claim: Claim; readonly bytes: number }>();

  constructor(scheduler: Scheduler<Claim>, credit: OutgoingCredit, clock: Clock) {
    this.#scheduler = scheduler;
    this.#credit = credit;
    this.#clock = clock;
  }

  /**
   * Waits for a place; one at a time for a claim.
   *
   * @param bytes Bytes of the chunk before compression.
   * @param creditBytes How many of them use credit: none when they are sent again.
   * @returns the function that gives the place back, once the chunk is sent; {@linkcode NO_PLACE}
   *   when the claim has left meanwhile.
   */
  take(claim: Claim, bytes: number, creditBytes: number): Promise<GiveBack> {
    return new Promise((start) => {
      this.#waiting.set(claim, { bytes, creditBytes, start });
      this.#scheduler.enter(claim, this.#clock.now());
      this.look();
    });
  }

  /** The claim waits no more. */
  leave(claim: Claim): void {
    this.#waiting.get(claim)?.start(NO_PLACE);
    this.#waiting.delete(claim);
    this.#scheduler.leave(claim);
    this.look();
  }

  /** Credit came, or a priority changed: somebody may have a place now. */
  look(): void {
    for (;;) {
      const nowMs = this.#clock.now();
      let claim = this.#next(nowMs, () => true);
      if (claim && this.#creditBytes(claim) > this.#credit.leftBytes) {
        claim = this.#next(nowMs, (other) => this.#creditBytes(other) === 0);
      }
      const waiting = claim && this.#waiting.get(claim);
      if (!claim || !waiting) return;
      this.#credit.take(waiting.creditBytes);
      this.#waiting.delete(claim);
      this.#scheduler.served(claim, waiting.bytes, nowMs);
      this.#scheduler.leave(claim);
      const place = { claim, bytes: waiting.bytes };
      this.#ahead.add(place);
      waiting.start((unusedBytes = 0) => {
        if (!this.#ahead.delete(place)) return;
        this.#credit.giveBack(unusedBytes);
        this.look();
      });
    }
  }

  /** Who is next and has a place. */
  #next(nowMs: number, mayGo: (claim: Claim) => boolean): Claim | undefined {
    let claim = this.#scheduler.next(nowMs, mayGo);
    while (claim && !this.#hasPlace(claim)) {
      // It was picked for having waited, or nobody is above it.
      const { priority } = claim;
      claim = this.#scheduler.next(nowMs, (other) => other.priority > priority && mayGo(other));
    }
    return claim;
  }

  #creditBytes(claim: Claim): number {
    return this.#waiting.get(claim)?.creditBytes ?? 0;
  }

  #hasPlace(claim: Claim): boolean {
    let count = 0;
    let belowCount = 0;
    let aheadBytes = this.#waiting.get(claim)?.bytes ?? 0;
    for (const { claim: other, bytes } of this.#ahead) {
      if (other.priority <= claim.priority) belowCount++;
      if (other.priority < claim.priority) continue;
      count++;
      aheadBytes += bytes;
    }
    if (count < MOST_AHEAD || aheadBytes <= MOST_AHEAD_BYTES) return true;
    return belowCount === 0 && this.#isOvertaking(claim);
  }

  /** Whether it was picked although others are above it, which is for having waited. */
  #isOvertaking(claim: Claim): boolean {
    for (const other of this.#waiting.keys()) if (other.priority > claim.priority) return true;
    return false;
  }
}
