// What do ten listeners of a node's events, and its page, cost its transfers?
//
//   node bench/status_cost.ts [--quick] [--rounds=15] [--transfers=50] [--mib=64] [--listeners=11]
//   node bench/status_cost.ts --rate=25 --mib=4
//
// With `--rate`, in MiB/s, the link is slow and the sender mostly waits. What listeners cost is then told
// in seconds of CPU a second: what there is to tell each time is the same as at full speed.
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
import { freePort, listenTo, openPage } from "./lib/status/listeners.ts";
import { playShown } from "./lib/status/play.ts";
import { ownPart, runTwo, say } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;
const BAR = { says: "at most 2 % more CPU seconds a GiB", atMost: 1.02 };

/** A fiftieth of one core. */
const IDLE_BAR = { says: "at most 0.02 s of CPU a second", atMost: 0.02 };

async function run(
  listeners: number,
  {
    transfers,
    bytes,
    bytesPerSecond,
  }: { transfers: number; bytes: number; bytesPerSecond: number },
): Promise<Sample> {
  const statusPort = await freePort();
  let stop = () => 0;
  let page: Promise<void> = Promise.resolve();
  const settings = { transfers, statusPort, bytesPerSecond };
  const work = { variant: "shown", bytes, digest: false, settings };
  const sample = await runTwo(import.meta.url, work, "send", () => {
    stop = listenTo(statusPort, listeners);
    if (listeners > 0) page = openPage(statusPort);
    page.catch(() => {});
  }).finally(() => stop());
  await page;
  if (listeners > 0 && stop() === 0) throw new Error("The listeners heard nothing.");
  return sample;
}

interface Round {
  readonly alone: Sample;
  readonly watched: Sample;
}

async function main(): Promise<void> {
  const rounds = Number(flag("rounds", isQuick() ? "2" : "15"));
  const transfers = Number(flag("transfers", "50"));
  const bytes = transfers * Number(flag("mib", isQuick() ? "16" : "64")) * MiB;
  const listeners = Number(flag("listeners", "11"));
  const rate = Number(flag("rate", "0"));
  const load = { transfers, bytes, bytesPerSecond: rate * MiB };
  const about =
    `${transfers} tensors of ${bytes / transfers / MiB} MiB at once, from memory to sinks that discard, SHA-256, ` +
    `two processes on loopback${rate > 0 ? `, ${rate} MiB/s` : ""}. The sender shows its status; floor: nobody looks. ` +
    `Against that all files of its page and ${listeners} listeners of its events, the page's among them and one ` +
    "that never reads, in a third process. CPU of the sender.";
  say(`status_cost on ${runtimeVersion()}, ${machine()}\n${about}`);
  const samples: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    // Each round begins with the other one.
    const first = await run(round % 2 === 0 ? 0 : listeners, load);
    const second = await run(round % 2 === 0 ? listeners : 0, load);
    const [alone, watched] = round % 2 === 0 ? [first, second] : [second, first];
    samples.push({ alone, watched });
  }
  const peak = (name: keyof Round) =>
    Math.max(...samples.map((sample) => (sample[name].peakRssBytes ?? 0) / MiB)).toFixed(0);
  say(`peak MiB: alone ${peak("alone")}, watched ${peak("watched")}`);
  (rate > 0 ? tellSeconds : tellRatio)(about, samples);
}

/** What listeners take of a second, while little is moved. */
function tellSeconds(about: string, samples: readonly Round[]): void {
  const cpu = ({ cpuSendSeconds, seconds }: Sample) => cpuSendSeconds / seconds;
  const added = samples.map(({ alone, watched }) => cpu(watched) - cpu(alone));
  const interval = bootstrapInterval(added);
  const cost = (name: keyof Round) => median(samples.map((sample) => cpu(sample[name]))).toFixed(4);
  say(`CPU s/s: alone ${cost("alone")}, watched ${cost("watched")}`);
  say(
    `added ${median(added).toFixed(4)}, 95 % interval ${interval.map((end) => end.toFixed(4)).join(" to ")}; ` +
      `${IDLE_BAR.says}: ${judge(interval, samples.length, IDLE_BAR)}`,
  );
  writeResult("status_cost_idle", { about, added, interval, samples });
}

/** What listeners add to what each GiB takes. */
function tellRatio(about: string, samples: readonly Round[]): void {
  const cpu = (sample: Sample) => (sample.cpuSendSeconds * 1024 * MiB) / sample.bytes;
  const ratios = samples.map(({ alone, watched }) => cpu(watched) / cpu(alone));
  const interval = bootstrapInterval(ratios);
  const cost = (name: keyof Round) => median(samples.map((sample) => cpu(sample[name]))).toFixed(3);
  say(`CPU s/GiB: alone ${cost("alone")}, watched ${cost("watched")}`);
  say(
    `x floor ${median(ratios).toFixed(3)}, 95 % interval ${interval.map((end) => end.toFixed(3)).join(" to ")}; ` +
      `${BAR.says}: ${judge(interval, samples.length, BAR)}`,
  );
  writeResult("status_cost", { about, ratios, interval, samples });
}

const part = ownPart();
if (part === undefined) await main();
else {
  await playShown(part);
  process.exit(0);
}
