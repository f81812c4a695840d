import { assert } from "chai";
import fc from "fast-check";
import { planSweep } from "../../lib/checkpoint/sweep_plan.ts";
import { type CheckpointLimits, DEFAULT_CHECKPOINT_LIMITS } from "../../lib/checkpoint_limits.ts";
import type { Suite } from "../harness.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const NOW_MS = 1_000 * DAY_MS;

export const sweepPlanSuite: Suite = ({ test }) => {
  test("sweep plan: what is left keeps to both limits, and nothing goes that need not", () => {
    const limit = fc.oneof(fc.nat(100), fc.constant("unlimited" as const));
    const abandoned = fc.array(
      fc.record({ bytes: fc.nat(50), lastUsedMs: fc.integer({ min: -20, max: 120 }) }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(abandoned, limit, limit, (checkpoints, maxAgeMs, maxBytes) => {
        const doomed = planSweep(checkpoints, { maxAgeMs, maxBytes }, 100);
        const gone = new Set(doomed.map(({ checkpoint }) => checkpoint));
        const left = checkpoints.filter((checkpoint) => !gone.has(checkpoint));
        assert.equal(gone.size, doomed.length);
        const bytesOf = (some: readonly { bytes: number }[]) =>
          some.reduce((sum, { bytes }) => sum + bytes, 0);
        const mostBytes = maxBytes === "unlimited" ? Number.POSITIVE_INFINITY : maxBytes;
        const oldestMs =
          maxAgeMs === "unlimited" ? Number.NEGATIVE_INFINITY : Math.min(100 - maxAgeMs, 99);
        const isTooOld = ({ lastUsedMs }: { lastUsedMs: number }) =>
          maxAgeMs === 0 || lastUsedMs <= oldestMs;
        if (maxBytes === 0) assert.isEmpty(left);
        assert.isAtMost(bytesOf(left), mostBytes);
        assert.isFalse(left.some(isTooOld));
        const times = [...doomed.map(({ checkpoint }) => checkpoint), ...left].map(
          ({ lastUsedMs }) => lastUsedMs,
        );
        const youngestGone = Math.max(...times.slice(0, doomed.length));
        for (const { lastUsedMs } of left) assert.isAtLeast(lastUsedMs, youngestGone);
        for (const [n, { checkpoint, over }] of doomed.entries()) {
          const stillThere = [...doomed.slice(n).map((one) => one.checkpoint), ...left];
          if (over === "age") assert.isTrue(isTooOld(checkpoint));
          else assert.isTrue(maxBytes === 0 || bytesOf(stillThere) > mostBytes);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("sweep plan: by default two weeks and a TiB", () => {
    assert.deepEqual(DEFAULT_CHECKPOINT_LIMITS, { maxAgeMs: 14 * DAY_MS, maxBytes: 2 ** 40 });
    const checkpoints = [
      { bytes: 1, lastUsedMs: NOW_MS - 14 * DAY_MS },
      { bytes: 2 ** 40, lastUsedMs: NOW_MS - 14 * DAY_MS + 1 },
      { bytes: 1, lastUsedMs: NOW_MS + DAY_MS },
    ];
    const overs = (limits: Partial<CheckpointLimits>) =>
      planSweep(checkpoints, limits, NOW_MS).map(({ over }) => over);
    assert.deepEqual(overs({}), ["age", "size"]);
    assert.deepEqual(overs({ maxAgeMs: "unlimited" }), ["size", "size"]);
    assert.deepEqual(overs({ maxBytes: "unlimited" }), ["age"]);
    assert.isEmpty(planSweep([], {}, NOW_MS));
  });
};
