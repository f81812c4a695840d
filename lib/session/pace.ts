// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import { CompressionGovernor } from "../codec/governor.ts";
import { FragmentSizer } from "./fragment_sizer.ts";
import { LinkMeter } from "./link_meter.ts";
import { Turns } from "./turns.ts";

/** Chunks of a connection that are read and encoded at once. */
const CHUNKS_AHEAD = 2;

/** How one connection's sending end keeps step with its link. */
export class Pace {
  readonly turns: Turns = new Turns(CHUNKS_AHEAD);
  readonly sizer: FragmentSizer = new FragmentSizer();
  readonly governor: CompressionGovernor = new CompressionGovernor();
  readonly link: LinkMeter;
  readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
    this.link = new LinkMeter(clock, (bytes, ms) => this.governor.drained(bytes, ms));
  }
}
