// What one run of the torture does, all of it from one seed.
import type { FaultKind, FaultPlan } from "../../../lib/testing/fault.ts";
import { FAULT_KINDS } from "../../../lib/testing/fault.ts";
import { planFaults } from "../../../lib/testing/plan_faults.ts";
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Who begins a transfer, and how: a pipe is a push through `retryingWriter`. */
export type TransferWay = "pull" | "push" | "pipe";

/** One transfer of a run. */
export interface TransferPlan {
  readonly way: TransferWay;
  readonly byteLength: number;
  /** Where its bytes begin in what all tensors are cut from. */
  readonly contentOffset: number;
  readonly isCompressible: boolean;
  /** Whether the source gives views of its bytes or must be read. */
  readonly hasView: boolean;
  readonly into: "memory" | "stream" | "sink";
  readonly digest: "sha256" | "none";
  readonly priority: number;
  /** When whoever began it has had enough, if ever. */
  readonly cancelAfterMs?: number;
}

/** One run: plain data, so that it can be printed. */
export interface Scenario {
  readonly seed: number;
  readonly transport: "memory" | "tcp";
  /** What each way of a connection in memory holds. */
  readonly bufferBytes: number;
  readonly chunkBytes: number;
  readonly isCompressed: boolean;
  readonly windowBytes: number;
  readonly maxRetries: number;
  readonly baseDelayMs: number;
  /** Transfers that the dialling end has under way at once. */
  readonly concurrent: number;
  /** Tensors that the accepting end asks for over each connection. */
  readonly asksBack: number;
  readonly faults: FaultPlan;
  readonly transfers: readonly TransferPlan[];
}

/** All tensors are cut from this many bytes. */
export const CONTENT_BYTES: number = 16 * MiB;
const MOST_TENSOR_BYTES = 6 * MiB;
const TCP_SHARE = 0.4;

/** The run that a seed stands for. */
export function planScenario(seed: number): Scenario {
  const random = new SeededRandom(seed);
  const count = random.chance(0.5) ? random.spread(1, 50) : random.between(1, 50);
  const transfers = Array.from({ length: count }, () => planTransfer(random, count));
  const totalBytes = transfers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return {
    seed,
    transport: random.chance(TCP_SHARE) ? "tcp" : "memory",
    bufferBytes: random.spread(4 * KiB, MiB),
    chunkBytes: random.spread(4 * KiB, 4 * MiB),
    isCompressed: random.chance(0.4),
    windowBytes: random.spread(MiB, 16 * MiB),
    maxRetries: random.pick([1, 3, 6, 20]),
    baseDelayMs: random.between(0, 10),
    concurrent: random.between(1, count),
    asksBack: random.chance(0.2) ? random.between(1, 3) : 0,
    faults: planFaults(random.word(), {
      kinds: someKinds(random),
      connections: random.between(1, 20),
      maxFaults: random.between(1, 3),
      withinBytes: Math.max(2 * KiB, Math.ceil(totalBytes * random.pick([0.02, 0.1, 0.5]))),
      maxStallMs: 300,
      maxDelayMs: 10,
      minBytesPerSecond: 2 * MiB,
    }),
    transfers,
  };
}

/** Mostly all kinds; at times a single one, over and over. */
function someKinds(random: SeededRandom): readonly FaultKind[] {
  return random.chance(0.6) ? FAULT_KINDS : [random.pick(FAULT_KINDS), random.pick(FAULT_KINDS)];
}

function planTransfer(random: SeededRandom, count: number): TransferPlan {
  // Few transfers may be large, many may not: a run should take about a second.
  const mostBytes = Math.min(MOST_TENSOR_BYTES, (12 * MiB) / count ** 0.5);
  const byteLength = random.chance(0.05) ? 0 : random.spread(1, mostBytes);
  return {
    way: random.pick(["pull", "pull", "push", "push", "pipe"]),
    byteLength,
    contentOffset: random.below(CONTENT_BYTES - byteLength),
    isCompressible: random.chance(0.5),
    hasView: random.chance(0.5),
    into: random.pick(["memory", "stream", "sink"]),
    digest: random.chance(0.2) ? "none" : "sha256",
    priority: random.pick([0, 50, 50, 100, 200]),
    ...(random.chance(0.05) && { cancelAfterMs: random.between(0, 200) }),
  };
}
