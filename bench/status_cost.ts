// What do ten listeners of a node's events cost its transfers?
//
//   node bench/status_cost.ts [--quick] [--rounds=15] [--transfers=50] [--mib=64] [--listeners=10]
import process from "node:process";
import { judge } from "./lib/bar.ts";
import {
  bootstrapInterval,
  flag,
  isQuick,
  machine,
  median,
  runtimeVersion,
  type Sample,
  writeResult,
} from "./lib/compare.ts";
import { freePort, listenTo } from "./lib/status/listeners.ts";
import { playShown } from "./lib/status/play.ts";
import { ownPart, runTwo, say } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;
const BAR = { says: "at most 2 % more CPU seconds a GiB", atMost: 1.02 };

async function run(listeners: number, transfers: number, bytes: number): Promise<Sample> {
  const statusPort = await freePort();
  let stop = () => 0;
  const work = { variant: "shown", bytes, digest: false, settings: { transfers, statusPort } };
  const sample = await runTwo(import.meta.url, work, "send", () => {
    stop = listenTo(statusPort, listeners);
  }).finally(() => stop());
  if (listeners > 0 && stop() === 0) throw new Error("The listeners heard nothing.");
  return sample;
}

async function main(): Promise<void> {
  const rounds = Number(flag("rounds", isQuick() ? "2" : "15"));
  const transfers = Number(flag("transfers", "50"));
  const bytes = transfers * Number(flag("mib", isQuick() ? "16" : "64")) * MiB;
  const listeners = Number(flag("listeners", "10"));
  const about =
    `${transfers} tensors of ${bytes / transfers / MiB} MiB at once, from memory to sinks that discard, SHA-256, ` +
    `two processes on loopback. The sender shows its status; floor: nobody looks. Against that ${listeners} ` +
    "listeners of its events, of which one never reads, in a third process. CPU of the sender.";
  say(`status_cost on ${runtimeVersion()}, ${machine()}\n${about}`);
  const samples: { alone: Sample; watched: Sample }[] = [];
  for (let round = 0; round < rounds; round++) {
    // Each round begins with the other one.
    const first = await run(round % 2 === 0 ? 0 : listeners, transfers, bytes);
    const second = await run(round % 2 === 0 ? listeners : 0, transfers, bytes);
    const [alone, watched] = round % 2 === 0 ? [first, second] : [second, first];
    samples.push({ alone, watched });
  }
  const perGiB = (sample: Sample) => (sample.cpuSendSeconds * 1024 * MiB) / sample.bytes;
  const ratios = samples.map(({ alone, watched }) => perGiB(watched) / perGiB(alone));
  const interval = bootstrapInterval(ratios);
  const peak = (name: "alone" | "watched") =>
    Math.max(...samples.map((sample) => (sample[name].peakRssBytes ?? 0) / MiB)).toFixed(0);
  const cost = (name: "alone" | "watched") =>
    median(samples.map((sample) => perGiB(sample[name]))).toFixed(3);
  say(`CPU s/GiB: alone ${cost("alone")}, watched ${cost("watched")}`);
  say(
    `x floor ${median(ratios).toFixed(3)}, 95 % interval ${interval.map((end) => end.toFixed(3)).join(" to ")}; ` +
      `${BAR.says}: ${judge(interval, rounds, BAR)}`,
  );
  say(`peak MiB: alone ${peak("alone")}, watched ${peak("watched")}`);
  writeResult("status_cost", { about, rounds, ratios, interval, samples });
}

const part = ownPart();
if (part === undefined) await main();
else {
  await playShown(part);
  process.exit(0);
}
