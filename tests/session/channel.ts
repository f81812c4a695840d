import { assert } from "chai";
import { systemClock } from "../../lib/clock.ts";
import { TransportError } from "../../lib/errors.ts";
import { Channel, type StreamParty } from "../../lib/session/channel.ts";
import { PriorityScheduler } from "../../lib/session/scheduler.ts";
import { FrameLink } from "../../lib/streams/frame_link.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { HELLO, RawPeer } from "./support/raw_peer.ts";

export const channelSuite: Suite = ({ test }) => {
  test("channel: a connection whose stream numbers run out ends, so that another is dialled", async () => {
    const [near, far] = connectionPair();
    const channel = new Channel({
      isDialler: true,
      clock: systemClock,
      maxStreams: 8,
      maxRequests: 8,
      windowBytes: 2 ** 20,
      scheduler: () => new PriorityScheduler(),
      lastStream: 7,
      open: () => assert.fail("nobody begins anything"),
    });
    const raw = new RawPeer(far);
    const [link] = await Promise.all([
      FrameLink.open(near, { hello: HELLO, accepted: false, handler: channel }),
      raw.greet(),
    ]);
    let failed: unknown;
    const party: StreamParty = {
      frame: () => {},
      fail: (error) => {
        failed = error;
      },
    };
    assert.equal(channel.add(party), 1);
    assert.equal(channel.add(party, 2), 3);
    assert.throws(() => channel.add(party, 2), TransportError, /no stream numbers left/);
    await assertRejects(() => link.closed, TransportError, /no stream numbers left/);
    assert.instanceOf(failed, TransportError);
    assert.isTrue((failed as TransportError).retryable);
    assert.throws(() => channel.add(party), TransportError, /no stream numbers left/);
    raw.close();
  });
};
