import process from "node:process";
import { type Bar, judge } from "../bar.ts";
import { machine, runtimeVersion, writeResult } from "../compare.ts";
import { type QueueSample, sampleQueues } from "../kernel_queues.ts";
import { type Link, loopback } from "../link.ts";
import { type Part, runBoth, say } from "../two_processes.ts";
import { digestItems, measure, type Plan, type UrgentReport } from "./measure.ts";
import type { Way } from "./mover.ts";
import { type Paired, type Run, type Summary, summarise, type Waits } from "./summary.ts";

/** A bar, and what is held against it. */
export interface Claim {
  readonly bar: Bar;
  readonly measured: Paired;
}

/** What to compare. */
export interface UrgentComparison {
  readonly name: string;
  /** The bench's own file, which the ends run. */
  readonly file: string;
  readonly about: string;
  /** Put before a way's name and a colon in what the ends are told. */
  readonly question: string;
  readonly ways: Readonly<Record<string, Way>>;
  readonly rounds: number;
  readonly plan: Plan;
  readonly link?: Link;
  /** What is to be claimed of the summaries, by the ways' names. */
  claims(summaries: ReadonlyMap<string, Summary>): Claim[];
}

/** What the sender reports in the end. */
interface Served {
  readonly cpuSeconds: number;
}

const MiB = 1024 * 1024;
const SAMPLE_MS = 100;

/** Runs every way once a round, prints tables and verdicts, and writes it all as JSON. */
export async function compareUrgent(comparison: UrgentComparison): Promise<void> {
  const { name, about, ways, rounds, plan, link = loopback } = comparison;
  const names = Object.keys(ways);
  say(`${name} on ${runtimeVersion()}, ${machine()}\n${about}`);
  await verifyEqual(comparison);
  const runs = new Map<string, Run[]>(names.map((way) => [way, []]));
  for (let round = 0; round < rounds; round++) {
    for (let index = 0; index < names.length; index++) {
      const way = names[(index + round) % names.length] ?? "";
      runs.get(way)?.push(await runOnce(comparison, way));
    }
  }
  const summaries = new Map([...runs].map(([way, own]) => [way, summarise(way, own)]));
  printSummaries([...summaries.values()], link.queuedBytes !== undefined);
  const claims = comparison.claims(summaries).map((claim) => ({
    ...claim,
    verdict: judge(claim.measured.interval, rounds, claim.bar),
  }));
  for (const { bar, measured, verdict } of claims) {
    say(`  ${bar.says}: ${pairedText(measured)}: ${verdict}`);
  }
  const result = { about, link: link.about, rounds, plan, claims };
  writeResult(name, { ...result, summaries: [...summaries.values()], runs: [...runs] });
}

/** Plays the end that this process was started for. */
export async function playUrgent(part: Part, way: Way): Promise<void> {
  if (part.role === "send") {
    const startCpu = process.cpuUsage();
    await way.serve(part);
    const { user, system } = process.cpuUsage(startCpu);
    say(JSON.stringify({ cpuSeconds: (user + system) / 1e6 } satisfies Served));
    return;
  }
  const mover = await way.join(part);
  const report = part.digest ? { digest: await digestItems(mover) } : await measure(mover, part);
  await mover.close();
  say(JSON.stringify(report));
}

async function runOnce(comparison: UrgentComparison, name: string): Promise<Run> {
  const { file, question, plan, link = loopback } = comparison;
  const variant = `${question}:${name}`;
  const work = { variant, bytes: plan.urgentBytes, digest: false, settings: plan, link };
  let sampler: { stop(): QueueSample[] } | undefined;
  try {
    const { send, receive } = await runBoth<Served, UrgentReport>(file, work, "send", (ends) => {
      sampler = sampleQueues(ends, link, SAMPLE_MS);
    });
    const { besideFromMs, besideToMs } = receive;
    const samples = sampler?.stop() ?? [];
    const queues = samples.filter(({ atMs }) => atMs > besideFromMs && atMs < besideToMs);
    return { ...receive, queues, senderCpuSeconds: send.cpuSeconds };
  } finally {
    sampler?.stop();
  }
}

async function verifyEqual(comparison: UrgentComparison): Promise<void> {
  const { file, question, ways, plan, link = loopback } = comparison;
  let wanted: string | undefined;
  for (const name of Object.keys(ways)) {
    const variant = `${question}:${name}`;
    const work = { variant, bytes: plan.urgentBytes, digest: true, settings: plan, link };
    const { receive } = await runBoth<Served, { digest: string }>(file, work, "send");
    wanted ??= receive.digest;
    if (receive.digest !== wanted) throw new Error(`"${name}" delivers other bytes.`);
  }
}

function printSummaries(summaries: readonly Summary[], isShaped: boolean): void {
  const width = Math.max(...summaries.map(({ name }) => name.length));
  const heads = ["idle, ms", "beside the bulk, ms", "times longer, p50", "and p95", "urgents"];
  const widths = [20, 22, 24, 24, 22];
  const row = (name: string, cells: readonly string[]) =>
    say(name.padEnd(width) + cells.map((cell, at) => cell.padStart(widths[at] ?? 0)).join(""));
  say("Waits are p50/p95/p99 of all rounds.");
  row("", heads);
  for (const { name, idle, beside, slowdown, urgents } of summaries) {
    const { p50, p95 } = slowdown;
    const cells = [waitsText(idle), waitsText(beside), pairedText(p50), pairedText(p95)];
    row(name, [...cells, String(urgents)]);
  }
  say(
    "Bulk in MB/s; MiB ahead are p50/p95/max: what came before the item, and what the kernels held.",
  );
  row("", [
    "alone, beside",
    "of it kept",
    "came before it",
    "in both kernels",
    ...(isShaped ? ["at the narrow point"] : []),
  ]);
  for (const summary of summaries) {
    const { aloneBytesPerSecond, besideBytesPerSecond, bulkKept } = summary;
    const rates = [aloneBytesPerSecond, besideBytesPerSecond].map((rate) =>
      (rate / 1e6).toFixed(1),
    );
    const spread = ({ p50, p95, max }: { p50: number; p95: number; max: number }) =>
      [p50, p95, max].map((bytes) => (bytes / MiB).toFixed(2)).join("/");
    row(summary.name, [
      rates.join(", "),
      pairedText(bulkKept),
      spread(summary.aheadBytes),
      spread(summary.kernelBytes),
      ...(isShaped ? [spread(summary.linkBytes)] : []),
    ]);
  }
}

function waitsText({ p50, p95, p99 }: Waits): string {
  return [p50, p95, p99].map((ms) => ms.toFixed(ms < 100 ? 1 : 0)).join("/");
}

function pairedText({ median, interval }: Paired): string {
  const [low, high] = interval;
  return `${median.toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)})`;
}
