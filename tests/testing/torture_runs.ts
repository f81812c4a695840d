import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import { runScenario } from "./torture/run_scenario.ts";
import { planScenario } from "./torture/scenario.ts";

const RUNS = 25;
const RUNS_OF_A_TEST = 5;

/** A quick part of what `npm run torture` does with many more seeds. */
export const tortureRunsSuite: Suite = ({ test, runtime }) => {
  for (let first = 1; first <= RUNS; first += RUNS_OF_A_TEST) {
    const last = first + RUNS_OF_A_TEST - 1;
    test(`torture: seeds ${first} to ${last} end in the same bytes or a typed error, with nothing left`, async () => {
      for (let seed = first; seed <= last; seed++) {
        const scenario = planScenario(seed);
        const { problems, outcomes } = await runScenario(scenario, tcpAdapterOf(runtime));
        const replay = `seed ${seed} of ${JSON.stringify(scenario)}`;
        assert.isEmpty(problems, `${problems.join("\n")}\n${replay}`);
        assert.isAtLeast(outcomes.length, scenario.transfers.length);
      }
    });
  }

  test("torture: a seed stands for the same run, wherever and whenever it is planned", () => {
    assert.deepEqual(planScenario(31), planScenario(31));
    const { transport, chunkBytes, transfers, faults } = planScenario(31);
    assert.deepEqual(
      {
        transport,
        chunkBytes,
        transfers: transfers.length,
        connections: faults.connections.length,
      },
      { transport: "tcp", chunkBytes: 3742065, transfers: 16, connections: 17 },
    );
    const runs = Array.from({ length: 300 }, (_, seed) => planScenario(seed));
    assert.isAbove(runs.filter(({ transport }) => transport === "tcp").length, 80);
    assert.isTrue(runs.every(({ chunkBytes }) => chunkBytes >= 4096 && chunkBytes <= 2 ** 22));
    const sizes = runs.flatMap(({ transfers }) => transfers.map(({ byteLength }) => byteLength));
    assert.include(sizes, 0);
    assert.isAbove(Math.max(...sizes), 4 * 1024 * 1024);
    assert.sameMembers(
      [...new Set(runs.flatMap(({ transfers }) => transfers.map(({ way }) => way)))],
      ["pull", "push", "pipe"],
    );
  });
};
