// Does the window grow to what a long fast link holds by itself?
//
//   node bench/window.ts [--quick] [--rounds=7] [--mbit=1000] [--rtt-ms=50] [--bytes=536870912]
import { compare, flag, isQuick, median } from "./lib/compare.ts";
import { bandwidthDelayBytes, shapeOf } from "./lib/shaped/shape.ts";
import { openShapedLink } from "./lib/shaped/shaped_link.ts";
import { listenerOf, mainOrPart, type Way } from "./lib/transfer.ts";
import { runTwo, say } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;

const ways: Record<string, Way> = {
  "raw socket": { over: "raw", content: "random" },
  "headrace pull": { over: "headrace", content: "random", digest: true },
  "headrace pull, checksum only": { over: "headrace", content: "random" },
};

async function main(): Promise<void> {
  const bytes = Number(flag("bytes", String((isQuick() ? 64 : 512) * MiB)));
  const shape = {
    ...shapeOf(Number(flag("mbit", "1000")), Number(flag("rtt-ms", "50"))),
    // The systems' own bounds are a few MiB, which would be the limit of every way.
    socketBytes: 64 * MiB,
  };
  const link = await openShapedLink(shape);
  const secondHalves = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  try {
    const lines = await compare({
      name: "window",
      rounds: Number(flag("rounds", isQuick() ? "2" : "7")),
      variants: Object.entries(ways).map(([name, way]) => {
        const run = (size: number, digest: boolean) =>
          runTwo(import.meta.url, { variant: name, bytes: size, digest, link }, listenerOf(way));
        return {
          name,
          async run() {
            const sample = await run(bytes, false);
            secondHalves.get(name)?.push(sample.secondHalfSeconds ?? Number.NaN);
            return sample;
          },
          verify: async () => (await run(4 * MiB + 12345, true)).digest ?? "",
        };
      }),
      floor: "raw socket",
      about:
        `${bytes / MiB} MiB in 1 MiB chunks from memory to a sink that drops what is verified, two ` +
        `processes; ${link.about}; ${(bandwidthDelayBytes(shape) / MiB).toFixed(1)} MiB are under way on ` +
        "a full link, sockets may hold 64 MiB. Floor: node:net, awaited 1 MiB writes, data events, no digest.",
    });
    const percent = (moved: number, seconds: number) =>
      `${((moved * 800) / seconds / shape.bitsPerSecond).toFixed(0)} %`;
    for (const { name, gigabytesPerSecond } of lines) {
      const whole = percent(gigabytesPerSecond * 1e9, 1);
      const half = percent(bytes / 2, median(secondHalves.get(name) ?? []));
      say(`  ${name}: ${whole} of the link, in the second half ${half}`);
    }
    say(`  ${link.droppedPackets() ?? "unknown"} packets dropped in all rounds`);
  } finally {
    link.remove();
  }
}

await mainOrPart(main, ways);
