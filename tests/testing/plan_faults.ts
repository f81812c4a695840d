import { assert } from "chai";
import { checkPlan } from "../../lib/testing/check_plan.ts";
import { FAULT_KINDS, type Fault, type FaultPlan } from "../../lib/testing/fault.ts";
import { connectionFaults } from "../../lib/testing/faulty_connect.ts";
import { linkPlan } from "../../lib/testing/link_plan.ts";
import { planFaults } from "../../lib/testing/plan_faults.ts";
import type { Suite } from "../harness.ts";

const faultsOf = ({ connections }: FaultPlan): Fault[] =>
  connections.flatMap(({ up = [], down = [] }) => [...up, ...down]);

export const planFaultsSuite: Suite = ({ test }) => {
  test("fault plans: a seed gives the same plan, and a printed plan is the plan", () => {
    for (let seed = 0; seed < 200; seed++) {
      const plan = planFaults(seed);
      assert.deepEqual(planFaults(seed), plan);
      assert.deepEqual(checkPlan(JSON.parse(JSON.stringify(plan))), plan);
      assert.equal(plan.seed, seed);
    }
    assert.notDeepEqual(planFaults(1).connections, planFaults(2).connections);
    const printed =
      '{"seed":11,"connections":[{"up":[{"kind":"half_close","atByte":1265424}]},' +
      '{"up":[{"kind":"flip","atByte":14,"bits":2},{"kind":"cut","atByte":3403454}],' +
      '"down":[{"kind":"duplicate","atByte":2253,"bytes":46}]}]}';
    assert.deepEqual(planFaults(11, { connections: 2 }), JSON.parse(printed));
  });

  test("fault plans: every kind happens, within what was asked for", () => {
    const options = {
      connections: 9,
      maxFaults: 3,
      withinBytes: 5000,
      maxStallMs: 70,
      maxDelayMs: 8,
      minBytesPerSecond: 1000,
    };
    const kinds = new Set<string>();
    let early = 0;
    let all = 0;
    for (let seed = 0; seed < 300; seed++) {
      const plan = planFaults(seed, options);
      assert.lengthOf(plan.connections, 9);
      for (const { up = [], down = [] } of plan.connections) {
        assert.isAtLeast(up.length + down.length, 1);
        for (const way of [up, down]) {
          assert.isAtMost(way.length, 3);
          assert.deepEqual(
            way.map(({ atByte }) => atByte),
            way.map(({ atByte }) => atByte).sort((one, other) => one - other),
          );
        }
      }
      for (const fault of faultsOf(plan)) {
        kinds.add(fault.kind);
        all++;
        if (fault.atByte < 100) early++;
        assert.isBelow(fault.atByte, 5000);
        if (fault.kind === "stall" && fault.forMs !== "ever") assert.isAtMost(fault.forMs, 70);
        if (fault.kind === "delay") assert.isAtMost(fault.delayMs, 8);
        if (fault.kind === "throttle") assert.isAtLeast(Number(fault.bytesPerSecond), 1000);
      }
    }
    assert.sameMembers([...kinds], [...FAULT_KINDS]);
    assert.isAbove(early / all, 0.2, "the first bytes have their share");
    const cuts = planFaults(1, { kinds: ["cut"], maxFaults: 1 });
    assert.isTrue(faultsOf(cuts).every(({ kind }) => kind === "cut"));
    assert.throws(() => planFaults(1, { kinds: [] }), RangeError);
    assert.throws(() => planFaults(1.5), RangeError);
  });

  test("fault plans: connections beyond the plan's are sound, or as it says", () => {
    const cut = { down: [{ kind: "cut", atByte: 1 }] } as const;
    const stall = { up: [{ kind: "stall", atByte: 2, forMs: "ever" }] } as const;
    assert.equal(connectionFaults({ connections: [cut] }, 0), cut);
    assert.deepEqual(connectionFaults({ connections: [cut] }, 1), {});
    assert.equal(connectionFaults({ connections: [cut], later: stall }, 1), stall);
  });

  test("fault plans: what is no plan is refused with what is wrong, and where", () => {
    const down = (...faults: unknown[]) => ({ connections: [{}, { down: faults }] });
    for (const [value, wrong] of [
      [null, /A plan must be an object, found null/],
      [{}, /connections must be a list, found undefined/],
      [{ connections: [7] }, /connection 0 must be an object, found 7/],
      [{ connections: [{ up: {} }] }, /connection 0: up must be a list/],
      [{ connections: [], later: { up: ["cut"] } }, /later connections, up: a fault must be/],
      [down({ kind: "burn", atByte: 0 }), /connection 1, down: a fault is one of cut, .*"burn"/],
      [down({ kind: "cut" }), /cut needs atByte, a whole number of bytes, found undefined/],
      [down({ kind: "cut", atByte: -1 }), /atByte.*found -1/],
      [down({ kind: "flip", atByte: 0, bits: 256 }), /flip needs bits, 1 to 255, found 256/],
      [down({ kind: "swallow", atByte: 0, bytes: 0.5 }), /swallow needs bytes/],
      [down({ kind: "duplicate", atByte: 0, bytes: 2 ** 21 }), /at most 1 MiB/],
      [down({ kind: "stall", atByte: 0, forMs: "long" }), /forMs, milliseconds or "ever"/],
      [down({ kind: "delay", atByte: 0, delayMs: -1 }), /delay needs delayMs/],
      [down({ kind: "throttle", atByte: 0, bytesPerSecond: 0 }), /above 0 or "unlimited"/],
    ] as const) {
      assert.throws(() => checkPlan(value), TypeError, wrong);
    }
  });

  test("fault plans: a link is imitated by a throttle and half a round trip each way", () => {
    const plan = checkPlan(linkPlan({ bitsPerSecond: 10_000_000, roundTripMs: 20 }));
    assert.isEmpty(plan.connections);
    const way = [
      { kind: "throttle", atByte: 0, bytesPerSecond: 1_250_000, bufferBytes: 62_500 },
      { kind: "delay", atByte: 0, delayMs: 10 },
    ];
    assert.deepEqual(plan.later, { up: way, down: way } as typeof plan.later);
    assert.throws(() => linkPlan({ bitsPerSecond: 0 }), RangeError, /0 bit\/s/);
    assert.throws(() => linkPlan({ bitsPerSecond: 1, roundTripMs: -1 }), RangeError);
  });
};
