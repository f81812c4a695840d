// On which link does compression pay? Draws docs/pictures/compression.svg.
//
//   node bench/compression.ts [--quick] [--rounds=5]
import { compare, flag, isQuick, machine, runtimeVersion } from "./lib/compare.ts";
import type { Content } from "./lib/content.ts";
import { draw } from "./lib/draw.ts";
import type { Curve, Mark } from "./lib/line_chart.ts";
import type { Link } from "./lib/link.ts";
import { shapeOf } from "./lib/shaped/shape.ts";
import { openShapedLink } from "./lib/shaped/shaped_link.ts";
import { mainOrPart, type Way } from "./lib/transfer.ts";
import { runTwo } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;
const ROUND_TRIP_MS = 20;
/** Links are given what takes them about this long uncompressed. */
const SECONDS = 0.8;
const LINKS_MBIT = [10, 30, 100, 300, 1000];
const CONTENTS: Readonly<Record<string, Content>> = {
  "fp32 weights": "weights",
  "bf16 weights": "bf16",
  "fp32, every other zero": "sparse",
};

const ways: Readonly<Record<string, Way>> = Object.fromEntries(
  Object.entries(CONTENTS).flatMap(([name, content]) =>
    [true, false].map((compress) => [
      `${name}, ${compress ? "on" : "off"}`,
      { over: "headrace", content, compress, digest: true } as const,
    ]),
  ),
);

async function measure(name: string, link: Link, bytes: number, mbit: number) {
  const [on, off] = [`${name}, on`, `${name}, off`];
  const variants = [on, off].map((variant) => {
    const run = (size: number, digest: boolean) =>
      runTwo(import.meta.url, { variant, bytes: size, digest, link }, "send");
    return {
      name: variant,
      run: () => run(bytes, false),
      verify: async () => (await run(MiB + 12345, true)).digest ?? "",
    };
  });
  const lines = await compare({
    name: `compression-${mbit}-${name.replace(/\W+/g, "-")}`,
    rounds: Number(flag("rounds", isQuick() ? "2" : "5")),
    variants,
    floor: off,
    about: `${(bytes / MiB).toFixed(1)} MiB, memory to memory, two processes, ${link.about}`,
  });
  const line = lines.find((one) => one.name === on);
  return {
    x: mbit,
    y: line?.ratio ?? Number.NaN,
    interval: line?.ratioInterval ?? [0, 0],
  } as const;
}

async function main(): Promise<void> {
  const found = new Map<string, Curve["points"][number][]>();
  for (const mbit of LINKS_MBIT) {
    const link = await openShapedLink(shapeOf(mbit, ROUND_TRIP_MS));
    const seconds = isQuick() ? 0.3 : SECONDS;
    const bytes = Math.round((mbit * 1e6 * seconds) / 8);
    try {
      for (const name of Object.keys(CONTENTS)) {
        const points = found.get(name) ?? [];
        points.push(await measure(name, link, bytes, mbit));
        found.set(name, points);
      }
    } finally {
      link.remove();
    }
  }
  draw("compression", {
    title: "Compression and speed",
    about: `deflate where it pays, ${ROUND_TRIP_MS} ms round trip. ${runtimeVersion()}, ${machine()}.`,
    x: { says: "the link, Mbit/s", marks: LINKS_MBIT.map((mbit): Mark => [mbit, `${mbit}`]) },
    y: {
      says: "times the speed without",
      marks: [0, 0.5, 1, 1.5, 2, 2.5].map((value): Mark => [value, `${value}`]),
    },
    curves: [...found].map(([name, points]) => ({ name, points })),
  });
}

await mainOrPart(main, ways);
