// What is under way, over links that are simulated to the byte.
import { assert } from "chai";
import { InFlight } from "../../lib/streams/in_flight.ts";
import type { Suite } from "../harness.ts";
import { type LinkShape, SimulatedSender } from "./simulated_link.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const link = (megabits: number, rttMs: number): LinkShape => ({
  bytesPerMs: 125 * megabits,
  rttMs,
});
/** What a link holds. */
const productBytes = ({ bytesPerMs, rttMs }: LinkShape): number => bytesPerMs * rttMs;

export const inFlightSuite: Suite = ({ test }) => {
  for (const [megabits, rttMs] of [
    [10, 20],
    [100, 20],
    [100, 100],
    [1_000, 50],
    [1_000, 200],
    [10_000, 10],
  ] as const) {
    test(`in flight: ${megabits} Mbit/s over ${rttMs} ms are filled after twenty round trips, and not much more`, () => {
      const shape = link(megabits, rttMs);
      const sender = new SimulatedSender(new InFlight());
      const start = sender.run(shape, 20 * rttMs);
      const boundBytes = Math.max(MiB, 1.25 * productBytes(shape));
      assert.isAtMost(start.mostBytes, Math.max(MiB, 2.1 * productBytes(shape)) + 64 * KiB);
      const { share, mostBytes } = sender.run(shape, Math.max(20 * rttMs, 2_000));
      assert.isAtLeast(share, 0.9);
      assert.isAtMost(mostBytes, 1.1 * boundBytes + 64 * KiB);
    });
  }

  test("in flight: a link without a delay is filled with half a mebibyte or little more, and a slow one with less", () => {
    const fast = new SimulatedSender(new InFlight());
    fast.run(link(20_000, 0.2), 50);
    const { share, mostBytes } = fast.run(link(20_000, 0.2), 100);
    assert.isAtLeast(share, 0.95);
    assert.isAtMost(mostBytes, 1.25 * productBytes(link(20_000, 0.2)) + 128 * KiB);
    const slow = new SimulatedSender(new InFlight()).run(link(100, 1), 1_000);
    assert.isAtLeast(slow.share, 0.9);
    assert.isAtMost(slow.mostBytes, 320 * KiB);
  });

  test("in flight: a transport that hands over late has more under way on a fast link, and on a slow one no more", () => {
    const slack = { ms: 10, bytes: 8 * MiB };
    const fast = new SimulatedSender(new InFlight(slack));
    fast.run(link(8_000, 0.2), 500);
    const { mostBytes } = fast.run(link(8_000, 0.2), 500);
    assert.isAbove(mostBytes, 4 * MiB);
    assert.isAtMost(mostBytes, slack.bytes + 64 * KiB);
    const slow = new SimulatedSender(new InFlight(slack)).run(link(100, 1), 1_000);
    assert.isAtMost(slow.mostBytes, 320 * KiB);
  });

  test("in flight: what arrives in bursts passes for no more than what the link carries", () => {
    const flight = new InFlight();
    // A mebibyte each millisecond, of which the other end learns in one go, in a tenth of it.
    let bytes = 0;
    for (let ms = 0; ms < 50; ms++) {
      for (let part = 1; part <= 8; part++) {
        bytes += MiB / 8;
        flight.probed(bytes, ms + 0.9 + part / 100);
        flight.arrived(bytes, ms + 0.9 + (part + 2) / 100);
      }
    }
    assert.isAtMost(flight.bytesPerMs, 2 * MiB);
  });

  test("in flight: a link that has become slower, longer or faster is learnt anew", () => {
    const sender = new SimulatedSender(new InFlight());
    sender.run(link(1_000, 20), 2_000);
    for (const shape of [link(1_000, 80), link(100, 80), link(1_000, 10)]) {
      sender.run(shape, 15_000);
      const { share, mostBytes } = sender.run(shape, 5_000);
      assert.isAtLeast(share, 0.85);
      assert.isAtMost(mostBytes, 1.2 * Math.max(MiB, 1.25 * productBytes(shape)));
    }
  });

  test("in flight: the round trip is measured anew however fast the link is", () => {
    const flight = new InFlight();
    const sender = new SimulatedSender(flight);
    sender.run(link(40_000, 0.2), 1_000);
    const before = flight.rttMs ?? 0;
    sender.run(link(40_000, 0.6), 12_000);
    assert.isBelow(before, 0.3);
    assert.isAbove(flight.rttMs ?? 0, 0.55);
    assert.isBelow(flight.rttMs ?? 0, 0.8);
  });
};
