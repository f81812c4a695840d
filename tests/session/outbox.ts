import { assert } from "chai";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { type Flow, Outbox, type Piece } from "../../lib/session/outbox.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { PriorityScheduler } from "../../lib/session/scheduler.ts";
import { FrameLane } from "../../lib/streams/frame_lane.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Suite } from "../harness.ts";
import { turns } from "../streams/support.ts";
import { watched } from "./support/frame_counts.ts";
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

  test("outbox: a fragment is larger only where the transport may be late with it", async () => {
    const address = { model: "m", partition: "default", tensor: "w" };
    const most = async (ms: number): Promise<number> => {
      const [near, far] = connectionPair();
      let mostBytes = 0;
      const look = watched(far, ({ type, payloadBytes }) => {
        if (type === FRAME.chunk) mostBytes = Math.max(mostBytes, payloadBytes);
      });
      const store = new MemoryStore();
      store.set(address, new Uint8Array(16 * 1024 * 1024));
      const slow = { ...look, slack: { ms, bytes: 1024 * 1024 } };
      const server = new TensorPeer(slow, { accepted: true, store, codecs: [] });
      const client = new TensorPeer(near);
      await client.requestTensor(address, { into: "memory" }).done;
      await client.close();
      await server.closed;
      return mostBytes;
    };
    assert.isAtMost(await most(1e-9), 64 * 1024 + 64);
    const larger = await most(1e9);
    assert.isAbove(larger, 128 * 1024);
    assert.isAtMost(larger, 256 * 1024 + 64);
  });
};
