// Times variants of the same work against a floor, round by round, and says what can be told apart.
import { mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, release } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** What one run of one variant cost. */
export interface Sample {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSendSeconds: number;
  /** Left out where it cannot be told, as of a page. */
  readonly cpuReceiveSeconds?: number;
  /** The larger of the two processes'. */
  readonly peakRssBytes?: number;
}

/** One way of doing the work. */
export interface Variant {
  readonly name: string;
  run(): Promise<Sample>;
  /** Does it once, untimed, and returns a digest of what arrived; all variants' must be equal. */
  verify?(): Promise<string>;
}

/** What to compare. */
export interface Comparison {
  /** The question's name; the result goes to `bench/results/NAME-RUNTIME.json`. */
  readonly name: string;
  /** Each round runs every variant once. 15 where the bar is tight. */
  readonly rounds: number;
  readonly variants: readonly Variant[];
  /** The name of the variant that the others are held against. */
  readonly floor: string;
  /** What the floor does, and where the bytes end: printed above the table. */
  readonly about: string;
}

/** A variant's line in the table. */
export interface Line {
  readonly name: string;
  readonly gigabytesPerSecond: number;
  /** Speed over the floor's in the same round: the median, and its 95 % interval. */
  readonly ratio: number;
  readonly ratioInterval: readonly [low: number, high: number];
  readonly cpuSendSecondsPerGiB: number;
  readonly cpuReceiveSecondsPerGiB: number;
  readonly peakRssMiB: number | undefined;
}

const GiB = 1024 ** 3;
const BOOTSTRAP_SAMPLES = 4000;

/** Runs the comparison, prints a table, writes the samples as JSON, and returns the lines. */
export async function compare(comparison: Comparison): Promise<Line[]> {
  const { name, rounds, variants, floor, about } = comparison;
  const print = (text: string) => process.stdout.write(`${text}\n`);
  print(`${name} on ${runtimeVersion()}, ${machine()}\n${about}`);

  await verifyEqual(variants);
  const samples = new Map<string, Sample[]>(variants.map((variant) => [variant.name, []]));
  for (let round = 0; round < rounds; round++) {
    // Each round starts with another one, so that none always follows the same neighbour.
    for (let index = 0; index < variants.length; index++) {
      const variant = variants[(index + round) % variants.length];
      if (variant !== undefined) samples.get(variant.name)?.push(await variant.run());
    }
  }
  const floorSamples = samples.get(floor);
  if (floorSamples === undefined) throw new TypeError(`There is no variant "${floor}".`);
  const bytes = new Set([...samples.values()].flat().map((sample) => sample.bytes));
  if (bytes.size !== 1) throw new Error(`The variants moved different sizes: ${[...bytes]}.`);

  const lines = [...samples].map(([variant, own]) => lineOf(variant, own, floorSamples));
  const width = Math.max(...lines.map((line) => line.name.length));
  print(`${"".padEnd(width)}   GB/s  x floor  95 % interval  CPU s/GiB send+receive  peak MiB`);
  for (const line of lines) print(format(line, width));
  writeResult(name, { about, rounds, floor, lines, samples: [...samples] });
  return lines;
}

/** Writes what came out to `bench/results/NAME-RUNTIME.json`, with the runtime and the machine. */
export function writeResult(name: string, result: object): void {
  const folder = new URL("../results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = fileURLToPath(new URL(`${name}-${runtimeName()}.json`, folder));
  const origin = { name, runtime: runtimeVersion(), machine: machine() };
  writeFileSync(file, `${JSON.stringify({ ...origin, ...result }, null, 1)}\n`);
}

/** The machine's processors and system, in a line. */
export function machine(): string {
  return `${cpus().length} x ${cpus()[0]?.model.trim()}, ${platform()} ${release()} ${arch()}`;
}

/** The value of `--NAME=VALUE` on the command line, or what is given here. */
export function flag(name: string, fallback: string): string {
  const start = `--${name}=`;
  return (
    process.argv.find((argument) => argument.startsWith(start))?.slice(start.length) ?? fallback
  );
}

/** Whether `--quick` was given: a look rather than a measurement, in half a minute. */
export function isQuick(): boolean {
  return process.argv.includes("--quick");
}

/** `node26`, `deno2`, `bun1`. */
export function runtimeName(): string {
  return runtimeVersion().replace(" ", "").split(".")[0] ?? "";
}

/** `node 26.1.0` */
export function runtimeVersion(): string {
  const { deno, bun, node } = process.versions;
  if (deno !== undefined) return `deno ${deno}`;
  return bun === undefined ? `node ${node}` : `bun ${bun}`;
}

async function verifyEqual(variants: readonly Variant[]): Promise<void> {
  let wanted: { name: string; digest: string } | undefined;
  for (const variant of variants) {
    const digest = await variant.verify?.();
    if (digest === undefined) continue;
    wanted ??= { name: variant.name, digest };
    if (digest === wanted.digest) continue;
    throw new Error(`"${variant.name}" delivers other bytes than "${wanted.name}".`);
  }
}

function lineOf(name: string, own: readonly Sample[], floor: readonly Sample[]): Line {
  const ratios = own.map((sample, round) => (floor[round]?.seconds ?? Number.NaN) / sample.seconds);
  const perGiB = (cost: (sample: Sample) => number) =>
    median(own.map((sample) => (cost(sample) * GiB) / sample.bytes));
  const peaks = own.flatMap((sample) => sample.peakRssBytes ?? []);
  return {
    name,
    gigabytesPerSecond: median(own.map((sample) => sample.bytes / sample.seconds / 1e9)),
    ratio: median(ratios),
    ratioInterval: bootstrapInterval(ratios),
    cpuSendSecondsPerGiB: perGiB((sample) => sample.cpuSendSeconds),
    cpuReceiveSecondsPerGiB: perGiB((sample) => sample.cpuReceiveSeconds ?? Number.NaN),
    peakRssMiB: peaks.length === 0 ? undefined : Math.max(...peaks) / 1024 ** 2,
  };
}

function format(line: Line, width: number): string {
  const [low, high] = line.ratioInterval;
  const cpu = (seconds: number) => (Number.isNaN(seconds) ? "?" : seconds.toFixed(2));
  return [
    line.name.padEnd(width),
    line.gigabytesPerSecond.toFixed(2).padStart(6),
    line.ratio.toFixed(2).padStart(8),
    `${low.toFixed(2)} to ${high.toFixed(2)}`.padStart(14),
    `${cpu(line.cpuSendSecondsPerGiB)} + ${cpu(line.cpuReceiveSecondsPerGiB)}`.padStart(23),
    (line.peakRssMiB?.toFixed(0) ?? "-").padStart(9),
  ].join(" ");
}

/** The median of an even number of values is the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Where 95 % of the medians of resampled rounds lie. Seeded, so that a result can be recomputed. */
export function bootstrapInterval(values: readonly number[]): [low: number, high: number] {
  let seed = 12094;
  const next = () => {
    // The multiplier and increment of Numerical Recipes' quick generator.
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const medians = Array.from({ length: BOOTSTRAP_SAMPLES }, () =>
    median(values.map(() => values[Math.floor(next() * values.length)] ?? Number.NaN)),
  ).sort((a, b) => a - b);
  const at = (share: number) => medians[Math.floor(share * (medians.length - 1))] ?? Number.NaN;
  return [at(0.025), at(0.975)];
}
