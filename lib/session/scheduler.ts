// This module runs in every runtime.

/** One claimant of a shared thing: a transfer that has something to send, or wants to read. */
export interface Claim {
  /** 0 to 255; a higher one goes first. May change while the claim stands. */
  priority: number;
}

/** Decides who is next. Pure: it sends nothing, and time is told to it. */
export interface Scheduler<T extends Claim = Claim> {
  /** The claimant has something to send from now on. */
  enter(claim: T, nowMs: number): void;
  /** It has nothing more, for now or for ever. */
  leave(claim: T): void;
  /** Who is next, of those that `mayGo` lets; `undefined` when nobody is. It stays entered. */
  next(nowMs: number, mayGo?: (claim: T) => boolean): T | undefined;
  /** The one that was next has sent so much. */
  served(claim: T, bytes: number, nowMs: number): void;
  /** Who has entered. */
  readonly size: number;
}

/** How long a claimant waits until it is helped past those of higher priority. */
const AGING_MS = 500;
/** For each byte of such help, so many go to the others first before there is more of it. */
const OTHERS_SHARE = 3;

/** @throws {RangeError} for anything but a whole number from 0 to 255. */
export function checkPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 255) return priority;
  throw new RangeError(`A priority must be a whole number from 0 to 255, found ${priority}`);
}

/** A claim that has not been served yet. */
export function createClaim(priority: number): Claim {
  return { priority };
}

/** What the scheduler knows of a claim. */
interface Standing {
  /** The priority that `servedBytes` is counted at. */
  priority: number;
  /** What it was given, comparable with that of its equals only. */
  servedBytes: number;
  waitingSinceMs: number;
}

/**
 * Strict by priority; among equals whoever was given the fewest bytes, so that two that are always
 * ready never differ by more than one piece. Who comes, comes back, or changes its priority joins
 * its equals where they are: it neither catches up on what they were given nor pays for what it had
 * elsewhere.
 *
 * Against starvation, every `agingMs` at most once, the one that has waited longest of those below
 * is next, if it has waited that long: among `n` claimants nobody waits longer than `n x agingMs`
 * and one piece. Where a piece takes so long that this would turn the order round, those above get
 * three times as much first. Such help is not counted among equals.
 *
 * @example
 * ```ts
 * import { createClaim, PriorityScheduler } from "headrace/session";
 *
 * const scheduler = new PriorityScheduler();
 * const [bulk, urgent] = [createClaim(50), createClaim(200)];
 * scheduler.enter(bulk, 0);
 * scheduler.enter(urgent, 0);
 * console.log(scheduler.next(0) === urgent); // true
 * ```
 */
export class PriorityScheduler<T extends Claim = Claim> implements Scheduler<T> {
  readonly #agingMs: number;
  readonly #standings = new WeakMap<T, Standing>();
  readonly #entered = new Map<T, Standing>();
  /** Where a priority was when its last claim was served: what that had been given before. */
  readonly #levels = new Map<number, number>();
  #agedAtMs = Number.NEGATIVE_INFINITY;
  /** What others get before somebody is helped again. */
  #owedBytes = 0;
  /** The one that was picked for having waited, until it is served. */
  #aged: T | undefined;

  /** @param agingMs How long nobody has to wait in vain; default 500. */
  constructor(agingMs: number = AGING_MS) {
    this.#agingMs = agingMs;
  }

  get size(): number {
    return this.#entered.size;
  }

  enter(claim: T, nowMs: number): void {
    if (this.#entered.has(claim)) return;
    let standing = this.#standings.get(claim);
    if (!standing) {
      standing = { priority: claim.priority, servedBytes: 0, waitingSinceMs: nowMs };
      this.#standings.set(claim, standing);
    }
    this.#join(standing, claim.priority);
    standing.waitingSinceMs = nowMs;
    this.#entered.set(claim, standing);
  }

  leave(claim: T): void {
    this.#entered.delete(claim);
    if (this.#aged === claim) this.#aged = undefined;
  }

  next(nowMs: number, mayGo: (claim: T) => boolean = () => true): T | undefined {
    let best: T | undefined;
    let leastBytes = 0;
    for (const [claim, standing] of this.#entered) {
      const { priority } = claim;
      if (priority !== standing.priority) this.#join(standing, priority);
      const { servedBytes } = standing;
      const isAbove = best === undefined || priority > best.priority;
      const isBehind = priority === best?.priority && servedBytes < leastBytes;
      if (!(isAbove || isBehind) || !mayGo(claim)) continue;
      best = claim;
      leastBytes = servedBytes;
    }
    this.#aged = best && this.#waitedLongest(nowMs, best.priority, mayGo);
    return this.#aged ?? best;
  }

  served(claim: T, bytes: number, nowMs: number): void {
    const standing = this.#standings.get(claim);
    if (!standing) return;
    standing.waitingSinceMs = nowMs;
    if (this.#aged === claim) {
      this.#agedAtMs = nowMs;
      this.#owedBytes = OTHERS_SHARE * bytes;
    } else {
      const level = this.#levels.get(standing.priority) ?? 0;
      this.#levels.set(standing.priority, Math.max(level, standing.servedBytes));
      standing.servedBytes += bytes;
      this.#owedBytes -= bytes;
    }
    this.#aged = undefined;
  }

  /** Who is to be helped past this priority now. */
  #waitedLongest(nowMs: number, priority: number, mayGo: (claim: T) => boolean): T | undefined {
    if (this.#owedBytes > 0 || nowMs - this.#agedAtMs < this.#agingMs) return undefined;
    let oldest: T | undefined;
    let sinceMs = nowMs - this.#agingMs;
    for (const [claim, { waitingSinceMs }] of this.#entered) {
      if (claim.priority >= priority || waitingSinceMs > sinceMs || !mayGo(claim)) continue;
      if (oldest && waitingSinceMs === sinceMs) continue;
      oldest = claim;
      sinceMs = waitingSinceMs;
    }
    return oldest;
  }

  /** Puts a claim where its equals are. */
  #join(standing: Standing, priority: number): void {
    const levelBytes = this.#levels.get(priority) ?? 0;
    if (standing.priority === priority && standing.servedBytes > 0) {
      // One that was away for a moment only goes on where it was.
      standing.servedBytes = Math.max(standing.servedBytes, levelBytes);
      return;
    }
    // Behind whoever waits: those who come one after another must not pass it by.
    let leastBytes = Number.POSITIVE_INFINITY;
    for (const other of this.#entered.values()) {
      if (other === standing || other.priority !== priority) continue;
      leastBytes = Math.min(leastBytes, other.servedBytes);
    }
    standing.servedBytes = Number.isFinite(leastBytes) ? leastBytes : levelBytes;
    standing.priority = priority;
  }
}
