// Do 200 transfers of equal priority share one connection fairly?
//
//   node bench/fair_shares.ts [--quick] [--rounds=6] [--transfers=200] [--mib=8,12,16,32]
import process from "node:process";
import { flag, isQuick, machine, runtimeVersion, writeResult } from "./lib/compare.ts";
import { type FairReport, playFair } from "./lib/fair/play.ts";
import { type Shares, sharesOf } from "./lib/fair/shares.ts";
import { quantile } from "./lib/quantile.ts";
import { ownPart, runBoth, say } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;

function print(cells: readonly string[]): void {
  const widths = [8, 9, 31, 16, 18, 7];
  say(cells.map((cell, at) => cell.padStart(widths[at] ?? 0)).join(""));
}

function printRound(round: number, shares: Shares): void {
  const spread = [0, 0.05, 0.5, 0.95, 1].map((at) => quantile(shares.shares, at).toFixed(2));
  print([
    `round ${round + 1}`,
    String(shares.starved),
    spread.join("/"),
    `${shares.longestSilenceMs.toFixed(0)} ms`,
    shares.mostSlowdown.toFixed(2),
    (shares.bytesPerSecond / 1e6).toFixed(0),
  ]);
}

async function main(): Promise<void> {
  const rounds = Number(flag("rounds", isQuick() ? "2" : "6"));
  const transfers = Number(flag("transfers", "200"));
  const sizes = flag("mib", isQuick() ? "4,6,8" : "8,12,16,32")
    .split(",")
    .map(Number);
  const lengths = Object.fromEntries(sizes.map((mib, at) => [`length${at}`, mib * MiB]));
  const settings = { transfers, ...lengths };
  const about =
    `${transfers} tensors of ${sizes.join(", ")} MiB in turn, requested at once with one priority, from memory ` +
    "to sinks that discard, SHA-256, two processes on loopback.\n" +
    "Share: what a transfer has got, by what is verified, over the mean of all, at the moment when the first " +
    "one is complete; a leaf of 1 MiB is verified at once, so that no share is known better than that. " +
    "Starved: got nothing by then. Silent: the longest that any went without getting anything. Late: when " +
    "the unluckiest is complete, over when it would have been, had all been given the same all the time.";
  say(`fair_shares on ${runtimeVersion()}, ${machine()}\n${about}`);
  await runBoth(import.meta.url, { variant: "verify", bytes: 0, digest: true, settings }, "send");
  print(["", "starved", "share, least/p5/p50/p95/most", "silent, most", "late, most, x", "MB/s"]);
  const results: (Shares & FairReport)[] = [];
  for (let round = 0; round < rounds; round++) {
    const work = { variant: "time", bytes: 0, digest: false, settings };
    const { receive } = await runBoth<unknown, FairReport>(import.meta.url, work, "send");
    const shares = sharesOf(receive);
    results.push({ ...shares, ...receive });
    printRound(round, shares);
  }
  writeResult("fair_shares", { about, rounds, sizes, results });
}

const part = ownPart();
if (part === undefined) await main();
else {
  await playFair(part);
  process.exit(0);
}
