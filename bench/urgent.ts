// How long does a critical 64 KiB tensor take beside a saturating bulk?
//
//   node bench/urgent.ts [--quick] [--rounds=10] [--urgents=2000] [--only=checksum,digest] [--ways=NAME,NAME]
import process from "node:process";
import { flag, isQuick } from "./lib/compare.ts";
import { ownPart } from "./lib/two_processes.ts";
import { type Claim, compareUrgent, playUrgent } from "./lib/urgent/compare_urgent.ts";
import { headraceWay } from "./lib/urgent/headrace_way.ts";
import { http2Way } from "./lib/urgent/http2_way.ts";
import type { Way } from "./lib/urgent/mover.ts";
import { socketsWay } from "./lib/urgent/sockets_way.ts";
import { type Summary, timesLonger } from "./lib/urgent/summary.ts";

const KiB = 1024;
const OURS = "headrace";
const FIRST_COME = "headrace FIFO";
const OTHERS = ["HTTP/2 tuned", "bare second socket"] as const;

function waysOf(digestBulk: boolean): Record<string, Way> {
  return {
    [OURS]: headraceWay({ digestBulk }),
    [FIRST_COME]: headraceWay({ digestBulk, firstCome: true }),
    [OTHERS[0]]: http2Way(digestBulk),
    [OTHERS[1]]: socketsWay(digestBulk),
  };
}

const questions: Record<string, Record<string, Way>> = {
  checksum: waysOf(false),
  digest: waysOf(true),
};

const about: Record<string, string> = {
  checksum: "Bulk: headrace's is checked by checksum only, the others' not at all.",
  digest: "Bulk: SHA-256 at both ends, whichever way.",
};

function claims(summaries: ReadonlyMap<string, Summary>): Claim[] {
  const ours = summaries.get(OURS);
  if (ours === undefined) return [];
  const found: Claim[] = [
    {
      bar: { says: "p50 at most 5 times the idle one", atMost: 5 },
      measured: ours.slowdown.p50,
    },
    {
      bar: { says: "p95 at most 5 times the idle one", atMost: 5 },
      measured: ours.slowdown.p95,
    },
    { bar: { says: "bulk keeps 0.9 of its rate", atLeast: 0.9 }, measured: ours.bulkKept },
  ];
  for (const [name, atLeast] of [[FIRST_COME, 10], ...OTHERS.map((other) => [other, 1])] as const) {
    const other = summaries.get(String(name));
    if (other === undefined) continue;
    for (const share of ["p50", "p95", "p99"] as const) {
      const says = `${share} of "${name}" at least ${atLeast} times ours`;
      const measured = timesLonger(other, ours, share);
      found.push({ bar: { says, atLeast: Number(atLeast) }, measured });
    }
  }
  return found;
}

async function main(): Promise<void> {
  const rounds = Number(flag("rounds", isQuick() ? "2" : "10"));
  const urgents = Math.ceil(Number(flag("urgents", isQuick() ? "100" : "2000")) / rounds);
  const only = flag("only", isQuick() ? "checksum" : Object.keys(questions).join(",")).split(",");
  const chosen = flag("ways", "").split(",").filter(Boolean);
  const urgentBytes = Number(flag("urgent-bytes", String(64 * KiB)));
  for (const question of only) {
    const ways = Object.entries(questions[question] ?? {}).filter(
      ([name]) => chosen.length === 0 || chosen.includes(name),
    );
    await compareUrgent({
      name: `urgent-${question}`,
      file: import.meta.url,
      about:
        `${rounds} rounds of ${urgents} urgent items of ${urgentBytes / KiB} KiB after 200 to warm up, from the request to the verified bytes in ` +
        "memory, on the idle connection and beside 4 bulk transfers in the same direction, priority low and " +
        `normal, from memory to a sink that discards; two processes on loopback. ${about[question]} ` +
        "Others: HTTP/2 with 256 KiB windows and 64 KiB frames, one connection; node:net, a socket for " +
        "the bulk and one for the urgent items, both hashing the urgent ones.",
      question,
      ways: Object.fromEntries(ways),
      rounds,
      plan: {
        urgentBytes,
        urgents,
        gapMs: 4,
        settleMs: isQuick() ? 300 : 500,
        aloneMs: isQuick() ? 500 : 1000,
        limitMs: isQuick() ? 5_000 : 30_000,
      },
      claims,
    });
  }
}

const part = ownPart();
if (part === undefined) await main();
else {
  const [question = "", name = ""] = part.variant.split(":");
  const way = questions[question]?.[name];
  if (way !== undefined) await playUrgent(part, way);
  process.exit(0);
}
