// What does the chunk size change, on which link? Draws docs/pictures/chunk_size.svg.
//
//   node bench/chunk_size.ts [--quick] [--rounds=7]
import { compare, flag, isQuick, type Line, machine, runtimeVersion } from "./lib/compare.ts";
import { draw } from "./lib/draw.ts";
import type { Curve } from "./lib/line_chart.ts";
import type { Link } from "./lib/link.ts";
import { shapeOf } from "./lib/shaped/shape.ts";
import { openShapedLink } from "./lib/shaped/shaped_link.ts";
import { mainOrPart, type Way } from "./lib/transfer.ts";
import { runTwo } from "./lib/two_processes.ts";

const [KiB, MiB] = [1024, 1024 * 1024];
const SIZES: Readonly<Record<string, number>> = {
  "4 KiB": 4 * KiB,
  "16 KiB": 16 * KiB,
  "64 KiB": 64 * KiB,
  "256 KiB": 256 * KiB,
  "1 MiB": MiB,
  "4 MiB": 4 * MiB,
  "16 MiB": 16 * MiB,
};
const FLOOR = "raw socket";
const LINKS = [
  { name: "loopback", bytes: 128 * MiB },
  { name: "1 Gbit/s, 10 ms", megabits: 1000, roundTripMs: 10, bytes: 64 * MiB },
  { name: "100 Mbit/s, 20 ms", megabits: 100, roundTripMs: 20, bytes: 12 * MiB },
] as const;

const ways: Readonly<Record<string, Way>> = {
  [FLOOR]: { over: "raw", content: "random", digest: true },
  ...Object.fromEntries(
    Object.entries(SIZES).map(([name, chunkBytes]) => [
      name,
      { over: "headrace", content: "random", digest: true, chunkBytes } as const,
    ]),
  ),
};

async function measure(name: string, bytes: number, link?: Link): Promise<Line[]> {
  const variants = Object.keys(ways).map((variant) => {
    const run = (size: number, digest: boolean) =>
      runTwo(import.meta.url, { variant, bytes: size, digest, ...(link && { link }) }, "send");
    return {
      name: variant,
      run: () => run(bytes, false),
      verify: async () => (await run(MiB + 12345, true)).digest ?? "",
    };
  });
  return await compare({
    name: `chunk_size-${name.replace(/\W+/g, "-")}`,
    rounds: Number(flag("rounds", isQuick() ? "2" : "7")),
    variants,
    floor: FLOOR,
    about:
      `${bytes / MiB} MiB of random bytes from memory to a sink that drops what is verified, two ` +
      `processes, ${link?.about ?? "loopback"}. Floor: node:net, awaited 1 MiB writes, SHA-256 at both ends.`,
  });
}

async function main(): Promise<void> {
  const curves: Curve[] = [];
  for (const link of LINKS) {
    const bytes = isQuick() ? 8 * MiB : link.bytes;
    const shaped =
      "megabits" in link
        ? await openShapedLink(shapeOf(link.megabits, link.roundTripMs))
        : undefined;
    const lines = await measure(link.name, bytes, shaped).finally(() => shaped?.remove());
    const points = lines.flatMap(({ name, ratio, ratioInterval }) => {
      const x = SIZES[name];
      return x === undefined ? [] : [{ x, y: ratio, interval: ratioInterval }];
    });
    curves.push({ name: link.name, points });
  }
  draw("chunk_size", {
    title: "Chunk size and speed",
    about: `One tensor, digests on, compression off. ${runtimeVersion()}, ${machine()}.`,
    x: { says: "chunk_size", marks: Object.entries(SIZES).map(([name, size]) => [size, name]) },
    y: {
      says: "times a raw socket that hashes",
      marks: [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5].map((value) => [value, `${value}`]),
    },
    curves,
  });
}

await mainOrPart(main, ways);
