import { assert } from "chai";
import { LinkMeter } from "../../lib/session/link_meter.ts";
import type { Suite } from "../harness.ts";

const MiB = 1024 * 1024;

function meterAt() {
  const told: [bytes: number, elapsedMs: number][] = [];
  const clock = { nowMs: 0, now: () => clock.nowMs, after: () => () => {} };
  const meter = new LinkMeter(clock, (...drained) => told.push(drained));
  return { meter, clock, told };
}

export const linkMeterSuite: Suite = ({ test }) => {
  test("link meter: measures by what arrives, however fast writes are taken", () => {
    const { meter, clock, told } = meterAt();
    meter.sent(4 * MiB);
    clock.nowMs = 100;
    meter.arrived(MiB);
    clock.nowMs = 250;
    meter.arrived(2 * MiB);
    assert.deepEqual(told, [
      [MiB, 100],
      [2 * MiB, 150],
    ]);
  });

  test("link meter: time with little under way says nothing of the link", () => {
    const { meter, clock, told } = meterAt();
    meter.sent(1000);
    clock.nowMs = 500;
    meter.arrived(1000);
    clock.nowMs = 900;
    meter.sent(2 * MiB);
    clock.nowMs = 910;
    meter.arrived(2 * MiB);
    assert.deepEqual(told, [[2 * MiB, 10]]);
  });

  test("link meter: what was lost no longer counts as under way", () => {
    const { meter, clock, told } = meterAt();
    meter.sent(2 * MiB);
    meter.lost(2 * MiB);
    meter.sent(1000);
    clock.nowMs = 50;
    meter.arrived(1000);
    assert.deepEqual(told, []);
  });
};
