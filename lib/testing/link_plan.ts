// This module runs in every runtime.
import type { Fault, FaultPlan } from "./fault.ts";

/** A link to imitate. */
export interface LinkOptions {
  /** What passes each way, in bits a second, as links are sold: 10 Mbit/s is 10,000,000. */
  readonly bitsPerSecond: number;
  /** There and back, in milliseconds; half of it each way. Default 0. */
  readonly roundTripMs?: number;
  /** What may wait for its turn each way, in bytes; default: what passes in 50 ms, at least 16 KiB. */
  readonly bufferBytes?: number;
}

const DEFAULT_BUFFER_MS = 50;
const LEAST_BUFFER_BYTES = 16 * 1024;

/**
 * A plan in which nothing goes wrong: every connection has the rate, the latency and the bounded
 * buffer of a slower link. A proxy comes after the sender's kernel, which holds megabytes ahead of
 * it; where that matters, wrap each end in a `FaultyConnection` with its `sent` faults instead.
 *
 * @throws {RangeError} for a rate that is not above 0 or a round trip below 0.
 *
 * @example
 * ```ts
 * import { linkPlan } from "headrace/testing";
 *
 * const plan = linkPlan({ bitsPerSecond: 10_000_000, roundTripMs: 20 });
 * console.log(plan.later?.down); // a throttle to 1.25 MB a second, a delay of 10 ms
 * ```
 */
export function linkPlan({ bitsPerSecond, roundTripMs = 0, bufferBytes }: LinkOptions): FaultPlan {
  if (!(bitsPerSecond > 0) || !(roundTripMs >= 0)) {
    throw new RangeError(
      `A link needs a rate above 0 and a round trip that is not below 0, found ` +
        `${bitsPerSecond} bit/s and ${roundTripMs} ms`,
    );
  }
  const bytesPerSecond = bitsPerSecond / 8;
  const passed = Math.ceil((bytesPerSecond * DEFAULT_BUFFER_MS) / 1000);
  const way: Fault[] = [
    {
      kind: "throttle",
      atByte: 0,
      bytesPerSecond,
      bufferBytes: bufferBytes ?? Math.max(LEAST_BUFFER_BYTES, passed),
    },
    { kind: "delay", atByte: 0, delayMs: roundTripMs / 2 },
  ];
  return { connections: [], later: { up: way, down: way } };
}
