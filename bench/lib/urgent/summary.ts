// What many runs of one way come to.
import { bootstrapInterval, median } from "../compare.ts";
import type { QueueSample } from "../kernel_queues.ts";
import { quantile } from "../quantile.ts";
import type { UrgentReport } from "./measure.ts";

/** A run, and what the kernels held while both kinds moved. */
export interface Run extends UrgentReport {
  readonly queues: readonly QueueSample[];
  /** Of the sender, over the whole run. */
  readonly senderCpuSeconds: number;
}

/** The waits at some shares, in milliseconds. */
export interface Waits {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Shares of some bytes, in bytes. */
export interface Spread {
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** A median of the rounds' values, and its 95 % interval. */
export interface Paired {
  readonly median: number;
  readonly interval: readonly [low: number, high: number];
}

/** Over all rounds together, but where it says paired. */
export interface Summary {
  readonly name: string;
  readonly urgents: number;
  readonly idle: Waits;
  readonly beside: Waits;
  /** Beside the bulk over idle in the same round. */
  readonly slowdown: { readonly p50: Paired; readonly p95: Paired };
  /** The rounds' own shares beside the bulk. */
  readonly besideByRound: readonly Waits[];
  /** What the bulk keeps of its rate beside the urgent items; paired. */
  readonly bulkKept: Paired;
  readonly aloneBytesPerSecond: number;
  readonly besideBytesPerSecond: number;
  readonly aheadBytes: Spread;
  readonly sendQueueBytes: Spread;
  readonly receiveQueueBytes: Spread;
  readonly kernelBytes: Spread;
  /** At the link's narrowest point. */
  readonly linkBytes: Spread;
}

/** Sums up the rounds of a way. */
export function summarise(name: string, runs: readonly Run[]): Summary {
  const slowdowns = (of: (waits: Waits) => number) =>
    paired(runs.map((run) => of(waitsOf(run.besideMs)) / of(waitsOf(run.idleMs))));
  const queued = (of: (sample: QueueSample) => number) =>
    spreadOf(runs.flatMap((run) => run.queues.map(of)));
  const beside = runs.flatMap((run) => run.besideMs);
  return {
    name,
    urgents: beside.length,
    idle: waitsOf(runs.flatMap((run) => run.idleMs)),
    beside: waitsOf(beside),
    slowdown: { p50: slowdowns((waits) => waits.p50), p95: slowdowns((waits) => waits.p95) },
    besideByRound: runs.map((run) => waitsOf(run.besideMs)),
    bulkKept: paired(runs.map((run) => run.besideBytesPerSecond / run.aloneBytesPerSecond)),
    aloneBytesPerSecond: median(runs.map((run) => run.aloneBytesPerSecond)),
    besideBytesPerSecond: median(runs.map((run) => run.besideBytesPerSecond)),
    aheadBytes: spreadOf(runs.flatMap((run) => run.aheadBytes)),
    sendQueueBytes: queued((sample) => sample.sendQueueBytes),
    receiveQueueBytes: queued((sample) => sample.receiveQueueBytes),
    kernelBytes: queued((sample) => sample.sendQueueBytes + sample.receiveQueueBytes),
    linkBytes: queued((sample) => sample.linkBytes),
  };
}

/** How many times longer an urgent item takes the one way than the other, by round. */
export function timesLonger(one: Summary, other: Summary, share: keyof Waits): Paired {
  return paired(
    one.besideByRound.map(
      (waits, round) => waits[share] / (other.besideByRound[round]?.[share] ?? Number.NaN),
    ),
  );
}

/** The median of some rounds' values and its interval. */
export function paired(values: readonly number[]): Paired {
  return { median: median(values), interval: bootstrapInterval(values) };
}

function waitsOf(waitsMs: readonly number[]): Waits {
  const at = (share: number) => quantile(waitsMs, share);
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function spreadOf(bytes: readonly number[]): Spread {
  const at = (share: number) => quantile(bytes, share);
  return { p50: at(0.5), p95: at(0.95), max: at(1) };
}
