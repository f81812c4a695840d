// This module runs in every runtime.
import {
  type ConnectionFaults,
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  type FaultPlan,
} from "./fault.ts";
import { SeededRandom } from "./seeded_random.ts";

/** What {@linkcode planFaults} may plan. */
export interface PlanOptions {
  /** The kinds that happen; default: all. */
  readonly kinds?: readonly FaultKind[];
  /** How many connections suffer, one after the other; those that follow are sound. Default 6. */
  readonly connections?: number;
  /** The most faults of one way of a connection; default 2. */
  readonly maxFaults?: number;
  /** Faults happen before this many bytes have come; default 4 MiB. */
  readonly withinBytes?: number;
  /** The longest stall that ends; default 500 ms. */
  readonly maxStallMs?: number;
  /** How many stalls of all never end; default 0.25. */
  readonly endlessStalls?: number;
  /** The longest delay of a way; default 25 ms. */
  readonly maxDelayMs?: number;
  /** The slowest throttle; default 512 KiB a second. The fastest is 64 times that. */
  readonly minBytesPerSecond?: number;
}

/** What is swallowed or comes twice at most: a whole small frame, and more than a large one's header. */
const MAX_SPAN_BYTES = 4096;
const FASTEST = 64;

/**
 * Plans faults: the same for the same seed and options, in every runtime. Half of the offsets are
 * even over `withinBytes`, the others favour the first bytes, where connections are greeted.
 *
 * @throws {RangeError} for a seed that is not a safe whole number, or when `kinds` is empty.
 *
 * @example
 * ```ts
 * import { planFaults } from "headrace/testing";
 *
 * const plan = planFaults(7, { kinds: ["cut", "flip"], connections: 3 });
 * console.log(JSON.stringify(plan)); // a failing plan, printed, is all it takes to replay it
 * ```
 */
export function planFaults(seed: number, options: PlanOptions = {}): FaultPlan {
  const random = new SeededRandom(seed);
  const { connections = 6 } = options;
  return {
    seed,
    connections: Array.from({ length: connections }, () => planConnection(random, options)),
  };
}

function planConnection(random: SeededRandom, options: PlanOptions): ConnectionFaults {
  // Down is where a pull's bytes come from, up where a push's go; at times both suffer.
  const ways = random.pick(["up", "down", "both"] as const);
  const up = ways === "down" ? [] : planWay(random, options);
  const down = ways === "up" ? [] : planWay(random, options);
  return { ...(up.length > 0 && { up }), ...(down.length > 0 && { down }) };
}

function planWay(random: SeededRandom, options: PlanOptions): Fault[] {
  const { kinds = FAULT_KINDS, maxFaults = 2, withinBytes = 4 * 1024 * 1024 } = options;
  const faults = Array.from({ length: random.between(1, maxFaults) }, () => {
    const atByte = random.chance(0.5)
      ? random.below(withinBytes)
      : random.spread(1, withinBytes) - 1;
    return planFault(random.pick(kinds), atByte, random, options);
  });
  return faults.sort((one, other) => one.atByte - other.atByte);
}

function planFault(
  kind: FaultKind,
  atByte: number,
  random: SeededRandom,
  options: PlanOptions,
): Fault {
  const { maxStallMs = 500, endlessStalls = 0.25, maxDelayMs = 25 } = options;
  const { minBytesPerSecond = 512 * 1024 } = options;
  switch (kind) {
    case "cut":
    case "half_close":
      return { kind, atByte };
    case "truncate":
    case "duplicate":
    case "swallow":
      return { kind, atByte, bytes: random.spread(1, MAX_SPAN_BYTES) };
    case "stall": {
      const isEndless = random.chance(endlessStalls);
      return { kind, atByte, forMs: isEndless ? "ever" : random.between(0, maxStallMs) };
    }
    case "throttle": {
      const bytesPerSecond = random.spread(minBytesPerSecond, minBytesPerSecond * FASTEST);
      return { kind, atByte, bytesPerSecond };
    }
    case "delay":
      return { kind, atByte, delayMs: random.between(0, maxDelayMs) };
    case "flip":
      return { kind, atByte, bits: 1 << random.below(8) };
  }
}
