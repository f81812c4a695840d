import { assert } from "chai";
import { type Flow, Outbox, type Piece } from "../../lib/session/outbox.ts";
import { PriorityScheduler } from "../../lib/session/scheduler.ts";
import { FrameLane } from "../../lib/streams/frame_lane.ts";
import type { Suite } from "../harness.ts";
import { turns } from "../streams/support.ts";
import { ManualClock, settle } from "./support/manual_clock.ts";

/** A flow of small frames. */
class Frames implements Flow {
  readonly priority = 50;
  readonly #frames: Uint8Array[];

  constructor(...frames: Uint8Array[]) {
    this.#frames = frames;
  }

  take(): Piece | undefined {
    const front = this.#frames.shift();
    return front && { front };
  }
}

export const outboxSuite: Suite = ({ test }) => {
  test("outbox: what becomes ready just as a lane runs out of work is sent as well", async () => {
    // Whatever the number of steps between the last write and the next flow.
    for (let steps = 0; steps < 40; steps++) {
      const written: number[] = [];
      const clock = new ManualClock();
      const writable = new WritableStream<Uint8Array>({
        write: (bytes) => void written.push(...bytes),
      });
      const outbox = new Outbox(clock, new PriorityScheduler<Flow>());
      outbox.addLane(new FrameLane(0, { writable }, clock), () => false);
      outbox.enter(new Frames(Uint8Array.of(1), Uint8Array.of(2)));
      await turns(steps);
      outbox.enter(new Frames(Uint8Array.of(3)));
      await settle();
      assert.deepEqual(written, [1, 2, 3], `after ${steps} steps`);
    }
  });
};
