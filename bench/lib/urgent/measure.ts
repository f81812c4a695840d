import { once } from "node:events";
import process from "node:process";
import { sha256Hex } from "../sha256_hex.ts";
import type { Part } from "../two_processes.ts";
import type { Mover } from "./mover.ts";

/** How one run goes. A type, not an interface, to travel as a part's settings. */
export type Plan = {
  readonly urgentBytes: number;
  /** Urgent items on the idle connection, and again beside the bulk. */
  readonly urgents: number;
  /** Before each there is a pause of 0 to twice this, so that they keep no step with the bulk. */
  readonly gapMs: number;
  /** How long the bulk runs before anything is measured. */
  readonly settleMs: number;
  /** How long the bulk is measured alone, before the urgent items and after them. */
  readonly aloneMs: number;
  /** The urgent items end after this time, however many there were; one on its way counts as come. */
  readonly limitMs: number;
};

/** What came of a run. */
export interface UrgentReport {
  readonly idleMs: readonly number[];
  readonly besideMs: readonly number[];
  /** What else came over the link between a request and the item's last byte. */
  readonly aheadBytes: readonly number[];
  readonly aloneBytesPerSecond: number;
  readonly besideBytesPerSecond: number;
  /** When the bulk ran beside the urgent items, in milliseconds since 1970. */
  readonly besideFromMs: number;
  readonly besideToMs: number;
  /** Of the receiver, over the whole run. */
  readonly cpuSeconds: number;
}

/** Before anything is measured, on the idle connection: what was just started is slower. */
const WARM_UP = 200;

/** Fetches both kinds once and returns a digest of them. */
export async function digestItems(mover: Mover): Promise<string> {
  return sha256Hex(await mover.get("urgent"), await mover.get("sample"));
}

/** Urgent items on the idle connection, the bulk alone, both, and the bulk alone again. */
export async function measure(mover: Mover, part: Part): Promise<UrgentReport> {
  const plan = part.settings as Plan;
  const random = seededRandom();
  for (let n = 0; n < WARM_UP; n++) await mover.get("urgent");
  const startCpu = process.cpuUsage();
  const idle = await getUrgents(mover, plan, random);
  const stopBulk = await mover.startBulk();
  await sleep(plan.settleMs);
  const before = await rateFor(mover, plan.aloneMs);
  const besideFromMs = Date.now();
  const beside = await getUrgents(mover, plan, random);
  const besideToMs = Date.now();
  const after = await rateFor(mover, plan.aloneMs);
  await stopBulk();
  const { user, system } = process.cpuUsage(startCpu);
  return {
    idleMs: idle.waitsMs,
    besideMs: beside.waitsMs,
    aheadBytes: beside.aheadBytes,
    aloneBytesPerSecond: (before + after) / 2,
    besideBytesPerSecond: beside.otherBytesPerSecond,
    besideFromMs,
    besideToMs,
    cpuSeconds: (user + system) / 1e6,
  };
}

async function getUrgents(mover: Mover, plan: Plan, random: () => number) {
  const waitsMs: number[] = [];
  const aheadBytes: number[] = [];
  const startMs = performance.now();
  const startBytes = mover.receivedBytes();
  const limit = new AbortController();
  const limited = once(limit.signal, "abort");
  const timer = setTimeout(() => limit.abort(), plan.limitMs);
  while (waitsMs.length < plan.urgents && !limit.signal.aborted) {
    await sleep(2 * plan.gapMs * random());
    const askedMs = performance.now();
    const askedBytes = mover.receivedBytes();
    await Promise.race([mover.get("urgent"), limited]);
    waitsMs.push(performance.now() - askedMs);
    aheadBytes.push(Math.max(0, mover.receivedBytes() - askedBytes - plan.urgentBytes));
  }
  clearTimeout(timer);
  const urgentBytes = waitsMs.length * plan.urgentBytes;
  const otherBytes = mover.receivedBytes() - startBytes - urgentBytes;
  const seconds = (performance.now() - startMs) / 1000;
  return { waitsMs, aheadBytes, otherBytesPerSecond: otherBytes / seconds };
}

async function rateFor(mover: Mover, ms: number): Promise<number> {
  const startMs = performance.now();
  const startBytes = mover.receivedBytes();
  await sleep(ms);
  return ((mover.receivedBytes() - startBytes) * 1000) / (performance.now() - startMs);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The quick generator of Numerical Recipes. */
function seededRandom(): () => number {
  let state = 12094;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
