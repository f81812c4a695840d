import type { Connection } from "../../../lib/connection.ts";
import type { Fault } from "../../../lib/testing/fault.ts";
import { FaultyConnection as KitConnection } from "../../../lib/testing/faulty_connection.ts";
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";

/** What goes wrong with the bytes that an end writes, each at a number of bytes since the beginning. */
export interface Faults {
  /** The link is reset after this many bytes. */
  readonly cutAfterBytes?: number;
  /** The writing side ends in order after this many bytes; the rest is lost. */
  readonly endAfterBytes?: number;
  /** Nothing more is taken after this many bytes. */
  readonly stallAfterBytes?: number;
  /** Offsets of bytes of which one bit is turned. */
  readonly flipAt?: readonly number[];
}

/** A connection whose outgoing bytes suffer what `faults` says. */
export class FaultyConnection extends KitConnection {
  constructor(inner: Connection, faults: Faults = {}) {
    super(inner, { sent: planOf(faults) });
  }

  /** Bytes that came to the link's other end or were on their way there. */
  get writtenBytes(): number {
    return this.sent.passedBytes;
  }
}

function planOf({ cutAfterBytes, endAfterBytes, stallAfterBytes, flipAt = [] }: Faults): Fault[] {
  const plan = flipAt.map((atByte): Fault => ({ kind: "flip", atByte, bits: 4 }));
  if (cutAfterBytes !== undefined) plan.push({ kind: "cut", atByte: cutAfterBytes });
  if (endAfterBytes !== undefined) plan.push({ kind: "half_close", atByte: endAfterBytes });
  if (stallAfterBytes !== undefined) {
    plan.push({ kind: "stall", atByte: stallAfterBytes, forMs: "ever" });
  }
  return plan;
}

/** Numbers from 0 to 1 that are the same for the same seed. */
export function seeded(seed: number): () => number {
  const random = new SeededRandom(seed);
  return () => random.unit();
}
