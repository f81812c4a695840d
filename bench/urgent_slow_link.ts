// How long does a critical 64 KiB tensor take beside a bulk that fills a slow link?
//
//   node bench/urgent_slow_link.ts [--quick] [--rounds=6] [--mbit=100,10] [--rtt-ms=20] [--ways=NAME,NAME]
import process from "node:process";
import { flag, isQuick } from "./lib/compare.ts";
import { shapeOf } from "./lib/shaped/shape.ts";
import { openShapedLink } from "./lib/shaped/shaped_link.ts";
import { ownPart, say } from "./lib/two_processes.ts";
import { type Claim, compareUrgent, playUrgent } from "./lib/urgent/compare_urgent.ts";
import { headraceWay } from "./lib/urgent/headrace_way.ts";
import { http2Way } from "./lib/urgent/http2_way.ts";
import type { Way } from "./lib/urgent/mover.ts";
import { socketsWay } from "./lib/urgent/sockets_way.ts";
import { paired, type Summary } from "./lib/urgent/summary.ts";

const KiB = 1024;
const URGENT_BYTES = 64 * KiB;
const OURS = "headrace";

const ways: Record<string, Way> = {
  [OURS]: headraceWay({ digestBulk: true }),
  "headrace FIFO": headraceWay({ digestBulk: true, firstCome: true }),
  "HTTP/2 tuned": http2Way(true),
  "bare second socket": socketsWay(true),
};

/** On the wire a byte takes a little more than its eight bits: headers. The bar leaves them out. */
function claims(summaries: ReadonlyMap<string, Summary>, barMs: number): Claim[] {
  const ours = summaries.get(OURS);
  if (ours === undefined) return [];
  const says = `p95 in ms at most ${barMs.toFixed(0)}, what 1 MiB takes and two round trips`;
  const measured = paired(ours.besideByRound.map(({ p95 }) => p95));
  return [{ bar: { says, atMost: barMs }, measured }];
}

async function compareOver(megabitsPerSecond: number, roundTripMs: number): Promise<void> {
  const shape = shapeOf(megabitsPerSecond, roundTripMs);
  const link = await openShapedLink(shape);
  const itemMs = (URGENT_BYTES * 8000) / shape.bitsPerSecond;
  const barMs = (KiB * KiB * 8000) / shape.bitsPerSecond + 2 * roundTripMs;
  const rounds = Number(flag("rounds", isQuick() ? "1" : "6"));
  const urgents = Number(flag("urgents", isQuick() ? "8" : "50"));
  const chosen = flag("ways", isQuick() ? OURS : Object.keys(ways).join(",")).split(",");
  try {
    await compareUrgent({
      name: `urgent_slow_link-${megabitsPerSecond}mbit`,
      file: import.meta.url,
      link,
      about:
        `${rounds} rounds of at most ${urgents} urgent items of 64 KiB, from the request to the verified bytes in ` +
        "memory, on the idle connection and beside 4 bulk transfers in the same direction, of random bytes, " +
        `without compression. ${link.about}. SHA-256 at both ends, whichever way.`,
      question: "slow",
      ways: Object.fromEntries(Object.entries(ways).filter(([name]) => chosen.includes(name))),
      rounds,
      plan: {
        urgentBytes: URGENT_BYTES,
        urgents,
        gapMs: 2 * itemMs,
        settleMs: isQuick() ? 1000 : 5000,
        aloneMs: isQuick() ? 500 : 3000,
        limitMs: isQuick() ? 4_000 : 30_000,
      },
      claims: (summaries) => claims(summaries, barMs),
    });
  } finally {
    say(
      `  ${link.droppedPackets() ?? "unknown"} packets dropped at the narrow point in all rounds`,
    );
    link.remove();
  }
}

const part = ownPart();
if (part === undefined) {
  const roundTripMs = Number(flag("rtt-ms", "20"));
  for (const rate of flag("mbit", "100,10").split(",")) {
    await compareOver(Number(rate), roundTripMs);
  }
} else {
  const way = ways[part.variant.split(":")[1] ?? ""];
  if (way !== undefined) await playUrgent(part, way);
  process.exit(0);
}
