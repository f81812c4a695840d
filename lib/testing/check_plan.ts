// This module runs in every runtime.
import { FAULT_KINDS, type Fault, type FaultPlan, MAX_DUPLICATE_BYTES } from "./fault.ts";

/** What a kind of fault says beside `atByte`, and what is accepted. */
type Field = readonly [name: string, wanted: string, isRight: (value: unknown) => boolean];

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isAmount = (value: unknown): boolean => typeof value === "number" && value >= 0;
const isRate = (value: unknown): boolean => typeof value === "number" && value > 0;

const AT: Field = ["atByte", "a whole number of bytes", isCount];
const BYTES: Field = ["bytes", "a whole number of bytes", isCount];
const FIELDS: Readonly<Record<Fault["kind"], readonly Field[]>> = {
  cut: [],
  half_close: [],
  truncate: [BYTES],
  swallow: [BYTES],
  duplicate: [
    ["bytes", "at most 1 MiB", (value) => isCount(value) && Number(value) <= MAX_DUPLICATE_BYTES],
  ],
  flip: [
    ["bits", "1 to 255", (value) => isCount(value) && Number(value) > 0 && Number(value) < 256],
  ],
  stall: [["forMs", 'milliseconds or "ever"', (value) => value === "ever" || isAmount(value)]],
  delay: [["delayMs", "milliseconds", isAmount]],
  throttle: [
    ["bytesPerSecond", 'above 0 or "unlimited"', (value) => value === "unlimited" || isRate(value)],
    ["bufferBytes", "above 0", (value) => value === undefined || isRate(value)],
  ],
};

/**
 * Checks what claims to be a plan, such as one that was read from a log, and gives it back.
 *
 * @throws {TypeError} that names what is wrong with it, and where.
 *
 * @example
 * ```ts
 * import { checkPlan } from "headrace/testing";
 *
 * const printed = '{"connections":[{"down":[{"kind":"cut","atByte":70000}]}]}';
 * const plan = checkPlan(JSON.parse(printed));
 * console.log(plan.connections.length); // 1
 * ```
 */
export function checkPlan(value: unknown): FaultPlan {
  const { connections, later = {} } = record(value, "A plan");
  if (!Array.isArray(connections)) {
    throw new TypeError(`A plan's connections must be a list, found ${shown(connections)}`);
  }
  for (const [n, one] of [...connections, later].entries()) {
    const where = n < connections.length ? `connection ${n}` : "later connections";
    const { up = [], down = [] } = record(one, where);
    for (const [way, faults] of Object.entries({ up, down })) {
      if (!Array.isArray(faults)) {
        throw new TypeError(`${where}: ${way} must be a list of faults, found ${shown(faults)}`);
      }
      for (const fault of faults) checkFault(fault, `${where}, ${way}`);
    }
  }
  return value as FaultPlan;
}

/** @throws {TypeError} for what is no fault, saying where it stands. */
export function checkFault(value: unknown, where: string): asserts value is Fault {
  const fault = record(value, `${where}: a fault`);
  const { kind } = fault;
  if (!FAULT_KINDS.some((known) => known === kind)) {
    const known = FAULT_KINDS.join(", ");
    throw new TypeError(`${where}: a fault is one of ${known}, found ${shown(kind)}`);
  }
  for (const [name, wanted, isRight] of [AT, ...FIELDS[kind as Fault["kind"]]]) {
    if (isRight(fault[name])) continue;
    throw new TypeError(`${where}: ${kind} needs ${name}, ${wanted}, found ${shown(fault[name])}`);
  }
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw new TypeError(`${what} must be an object, found ${shown(value)}`);
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
