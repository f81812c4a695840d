// How long after an outage does a transfer go on, and when has it given up? Draws docs/pictures/outages.svg.
//
//   node bench/outages.ts
import { TransportError } from "../lib/errors.ts";
import { connectionPair } from "../lib/transports/memory.ts";
import { MemoryStore, TensorPeer } from "../mod.ts";
import { ManualClock } from "../tests/session/support/manual_clock.ts";
import { writeResult } from "./lib/compare.ts";
import { draw } from "./lib/draw.ts";
import type { Curve, Mark } from "./lib/line_chart.ts";
import { say } from "./lib/two_processes.ts";

const ADDRESS = { model: "m", partition: "default", tensor: "w" };
const POLICIES = {
  "3 retries, the default": {},
  "10 retries": { maxRetries: 10 },
  "10, from 100 ms": { maxRetries: 10, baseDelayMs: 100 },
  "10, up to 30 s": { maxRetries: 10, maxDelayMs: 30_000 },
  unlimited: { maxRetries: "unlimited" },
} as const;
const OUTAGES_S: readonly number[] = Array.from({ length: 37 }, (_, n) => 0.1 * 10 ** (n / 12));
/** Jitter is drawn anew for each; the median of so many is drawn. */
const TRIES = 9;

/** How long after an outage the tensor is here, in seconds; `undefined` when it was given up. */
async function waitAfter(outageMs: number, retry: object): Promise<number | undefined> {
  const clock = new ManualClock();
  const store = new MemoryStore();
  store.set(ADDRESS, new Float32Array(16));
  const servers: TensorPeer[] = [];
  const connect = async () => {
    if (clock.now() < outageMs) throw new TransportError("no route to the host");
    const [near, far] = connectionPair();
    servers.push(new TensorPeer(far, { accepted: true, store, clock }));
    return near;
  };
  const client = new TensorPeer(connect, { clock, retry });
  try {
    await clock.runUntil(client.requestTensor(ADDRESS, { into: "memory" }).done);
    return (clock.now() - outageMs) / 1000;
  } catch {
    return undefined;
  } finally {
    await client.close();
    await Promise.all(servers.map((server) => server.close()));
  }
}

async function curveOf(name: string, retry: object): Promise<Curve> {
  const points: Curve["points"][number][] = [];
  for (const outage of OUTAGES_S) {
    const waits = [];
    for (let n = 0; n < TRIES; n++) waits.push(await waitAfter(outage * 1000, retry));
    const lasted = waits.filter((wait) => wait !== undefined).sort((a, b) => a - b);
    const y = lasted[lasted.length >> 1];
    // Where half of them have given up, the curve ends.
    if (y === undefined || lasted.length * 2 < TRIES) break;
    points.push({ x: outage, y });
  }
  say(`${name}: survives ${points.at(-1)?.x.toFixed(1)} s`);
  return { name, points };
}

const curves: Curve[] = [];
for (const [name, retry] of Object.entries(POLICIES)) curves.push(await curveOf(name, retry));
writeResult("outages", { curves });
draw("outages", {
  title: "Outages",
  about: "Time from the link's return to the tensor, until a policy gives up. Time is simulated.",
  x: {
    says: "how long nothing can be dialled, s",
    marks: [0.1, 0.3, 1, 3, 10, 30, 100].map((value): Mark => [value, `${value}`]),
  },
  y: {
    says: "further wait, s",
    marks: [0, 5, 10, 15, 20, 25].map((value): Mark => [value, `${value}`]),
  },
  curves,
});
