// This module runs in every runtime.
import type { Connection } from "../connection.ts";

const KiB = 1024;
/** A link too slow to be measured may always have this much under way. */
const LEAST_BYTES = 256 * KiB;
/** What the other end may be late with reading, on a link that is fast, and no more than so much. */
const DEFAULT_SLACK = { ms: 2, bytes: 512 * KiB } as const;
/** More than the link holds, so that a rate that rises is seen. */
const GAIN = 1.25;
/** As long as each round trip shows a higher rate, nobody knows yet what the link holds. */
const FIRST_GAIN = 2;
/** What counts as higher. */
const GROWTH = 1.25;
/** Round trips without growth after which the rate counts as known. */
const ROUNDS_WITHOUT_GROWTH = 3;
/** Asked this often within what may be under way, so that the answer comes before it is used up. */
const PROBES = 8;
/** A rate is taken over so long at least: what kernels hand over in one go tells nothing of the link. */
const RATE_SPAN_MS = 4;
/** And at the beginning, when there is no such time yet. */
const LEAST_RATE_SPAN_MS = 1;
/** The round trip is measured anew after so long, with little else on the way: */
const RTT_MEMORY_MS = 10_000;
const PROBING_BYTES = 64 * KiB;
/** That is, no more than the link carries in so long. */
const PROBING_MS = 0.25;
/** How long a rate counts, but at least for so many round trips. */
const RATE_MEMORY_MS = 1_000;
const RATE_MEMORY_ROUNDS = 10;
/** With less than this under way, how long an answer takes says more of the peer than of the link. */
const BUSY_BYTES = 128 * KiB;

/** A question of how much has come, when it was asked. */
interface Probe {
  readonly sentBytes: number;
  readonly atMs: number;
  readonly arrivedBytes: number;
}

/** What an answer tells of the link: bytes that it drained, and how long it was busy with them. */
export interface Drained {
  readonly bytes: number;
  readonly elapsedMs: number;
}

/**
 * How much one direction of a link may have under way: written here and not yet read by the other
 * end, buffers of both kernels included. Whatever is under way is ahead of what is urgent, so it is
 * kept to what the round trip takes, 1.25 x rate x smallest round trip, or, where that is more, to
 * the transport's slack, by default 2 ms of the link's rate: 256 KiB at least, 512 KiB at most. Only as long as the rate still
 * grows from one round trip to the next it may be twice what that rate needs. Arithmetic only; the
 * other end's PONG is what tells how much has come.
 *
 * Source: the bandwidth-delay product as BBR estimates it (Cardwell et al., 2016).
 */
export class InFlight {
  readonly #slack: NonNullable<Connection["slack"]>;
  readonly #probes: Probe[] = [];
  #sentBytes = 0;
  #arrivedBytes = 0;
  #probedBytes = 0;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  /** Since when the link has been busy without an answer. */
  #busySinceMs: number | undefined;
  #smallestRttMs: number | undefined;
  #rttAtMs = 0;
  /** What had come by when, of late. */
  readonly #arrivals: { readonly atMs: number; readonly bytes: number }[] = [];
  /** The rate that was not outgrown yet, and for how many round trips. */
  #knownRate = 0;
  #knownRounds = 0;
  #roundAtMs = 0;
  /** Rates that came of late, ever lower ones, each the highest of those after the one before. */
  readonly #rates: { readonly value: number; readonly atMs: number }[] = [];

  constructor(slack: Connection["slack"] = DEFAULT_SLACK) {
    this.#slack = slack;
  }

  /** Bytes that were written and are not known to have come. */
  get bytes(): number {
    return this.#sentBytes - this.#arrivedBytes;
  }

  /** The smallest round trip of late in milliseconds; `undefined` before the first answer. */
  get rttMs(): number | undefined {
    return this.#smallestRttMs;
  }

  /** Bytes a millisecond that came of late, at best. */
  get bytesPerMs(): number {
    return this.#rates[0]?.value ?? 0;
  }

  /** What the transport may be late with, in milliseconds of the link's rate. */
  get slackMs(): number {
    return this.#slack.ms;
  }

  /** For how long the other end has not said that anything came, although it was asked. */
  unansweredMs(nowMs: number): number {
    const oldest = this.#probes[0];
    return oldest ? nowMs - Math.max(oldest.atMs, this.#answeredAtMs) : 0;
  }

  /** How much may be under way. */
  limitBytes(nowMs: number): number {
    if (this.#isStale(nowMs)) return PROBING_BYTES;
    const rate = this.bytesPerMs;
    const slackBytes = Math.min(this.#slack.bytes, Math.max(LEAST_BYTES, rate * this.#slack.ms));
    const gain = this.#knownRounds < ROUNDS_WITHOUT_GROWTH ? FIRST_GAIN : GAIN;
    return Math.max(slackBytes, gain * rate * (this.#smallestRttMs ?? 0));
  }

  /** Whether something more may be written. */
  hasRoom(nowMs: number): boolean {
    return this.bytes < this.limitBytes(nowMs);
  }

  /** So many bytes in all have been written. */
  sent(totalBytes: number, nowMs: number): void {
    this.#sentBytes = totalBytes;
    if (this.bytes >= BUSY_BYTES) this.#busySinceMs ??= nowMs;
  }

  /** Whether it is time to ask the other end how much has come. */
  isProbeDue(nowMs: number): boolean {
    const limitBytes = this.limitBytes(nowMs);
    if (this.#sentBytes === this.#probedBytes) return false;
    if (this.#probes.length === 0 && this.bytes >= limitBytes) return true;
    return this.#sentBytes - this.#probedBytes >= limitBytes / PROBES;
  }

  /** The other end is asked, right behind these bytes. */
  probed(totalBytes: number, nowMs: number): void {
    this.sent(totalBytes, nowMs);
    this.#probedBytes = totalBytes;
    this.#probes.push({ sentBytes: totalBytes, atMs: nowMs, arrivedBytes: this.#arrivedBytes });
  }

  /**
   * The other end has read this much. Answers to several questions may come as one, the last.
   *
   * @returns what the link drained, where it was busy all the time.
   */
  arrived(totalBytes: number, nowMs: number): Drained | undefined {
    const at = this.#probes.findIndex(({ sentBytes }) => sentBytes === totalBytes);
    const probe = this.#probes[at];
    if (!probe) return undefined;
    this.#probes.splice(0, at + 1);
    this.#answeredAtMs = nowMs;
    const elapsedMs = nowMs - probe.atMs;
    this.#noteRtt(elapsedMs, nowMs, totalBytes - probe.arrivedBytes);
    this.#noteRate(probe, totalBytes, nowMs);
    const bytes = totalBytes - this.#arrivedBytes;
    const sinceMs = this.#busySinceMs;
    this.#arrivedBytes = totalBytes;
    this.#busySinceMs = this.bytes >= BUSY_BYTES ? nowMs : undefined;
    return sinceMs === undefined ? undefined : { bytes, elapsedMs: nowMs - sinceMs };
  }

  #isStale(nowMs: number): boolean {
    return this.#smallestRttMs !== undefined && nowMs - this.#rttAtMs > RTT_MEMORY_MS;
  }

  /** A stale round trip is replaced only by one that was measured with little else on the way. */
  #noteRtt(elapsedMs: number, nowMs: number, aheadBytes: number): void {
    const smallestMs = this.#smallestRttMs ?? Number.POSITIVE_INFINITY;
    const littleBytes = Math.max(2 * PROBING_BYTES, PROBING_MS * this.bytesPerMs);
    const isAnew = this.#isStale(nowMs) && aheadBytes <= littleBytes;
    if (elapsedMs > smallestMs && !isAnew) return;
    this.#smallestRttMs = elapsedMs;
    this.#rttAtMs = nowMs;
  }

  #noteRate({ atMs, arrivedBytes }: Probe, totalBytes: number, nowMs: number): void {
    const sinceMs = nowMs - RATE_SPAN_MS;
    while ((this.#arrivals[1]?.atMs ?? nowMs) <= sinceMs) this.#arrivals.shift();
    const asked = { atMs, bytes: arrivedBytes };
    const since = atMs <= sinceMs ? asked : (this.#arrivals[0] ?? asked);
    this.#arrivals.push({ atMs: nowMs, bytes: totalBytes });
    const elapsedMs = Math.max(nowMs - since.atMs, LEAST_RATE_SPAN_MS);
    this.#addRate((totalBytes - since.bytes) / elapsedMs, nowMs);
  }

  #addRate(value: number, atMs: number): void {
    while (this.#rates.length > 0 && value >= (this.#rates.at(-1)?.value ?? 0)) this.#rates.pop();
    this.#rates.push({ value, atMs });
    const memoryMs = Math.max(RATE_MEMORY_MS, RATE_MEMORY_ROUNDS * (this.#smallestRttMs ?? 0));
    while ((this.#rates[0]?.atMs ?? atMs) < atMs - memoryMs) this.#rates.shift();
    const rate = this.bytesPerMs;
    const isOther = rate >= GROWTH * this.#knownRate || rate < this.#knownRate / 2;
    if (isOther) {
      this.#knownRate = rate;
      this.#knownRounds = 0;
      this.#roundAtMs = atMs;
    } else if (atMs - this.#roundAtMs >= (this.#smallestRttMs ?? 0)) {
      this.#knownRounds++;
      this.#roundAtMs = atMs;
    }
  }
}
