// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import { CompressionGovernor } from "../codec/governor.ts";
import { Budget } from "./budget.ts";
import { FragmentSizer } from "./fragment_sizer.ts";
import { LinkMeter } from "./link_meter.ts";
import { Turns } from "./turns.ts";

/** Chunks of a connection that are read and encoded at once. */
const CHUNKS_AHEAD = 2;

/** How one connection's two ends keep step with its link and its memory. */
export class Pace {
  /** What all that is received may be ahead of where it goes. */
  readonly incoming: Budget;
  readonly turns: Turns = new Turns(CHUNKS_AHEAD);
  readonly sizer: FragmentSizer = new FragmentSizer();
  readonly governor: CompressionGovernor = new CompressionGovernor();
  readonly link: LinkMeter;
  readonly clock: Clock;

  /** @param windowBytes What may be on its way to this end. */
  constructor(clock: Clock, windowBytes: number) {
    this.clock = clock;
    this.incoming = new Budget(windowBytes);
    this.link = new LinkMeter(clock, (bytes, ms) => this.governor.drained(bytes, ms));
  }
}
