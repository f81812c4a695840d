import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { explore } from "./model/explore.ts";
import { QUICK_PLANS } from "./model/plans.ts";
import { walk } from "./model/walk.ts";

export const flowControlModelSuite: Suite = ({ test }) => {
  for (const [name, plan] of Object.entries(QUICK_PLANS)) {
    test(`flow control, in every order: ${name}`, async () => {
      const { states, rests, isCut } = await explore(plan, 20_000);
      assert.isFalse(isCut, `after ${states} states`);
      assert.isAbove(rests, 0);
    });
  }

  test("flow control, at random: two thousand transfers begin and end, and nothing is left", async () => {
    let completed = 0;
    for (let seed = 1; seed <= 4; seed++) {
      const plan = {
        seed,
        transfers: 500,
        atOnce: 4 + 8 * (seed % 2),
        lanes: 1 + ((seed >> 1) % 2),
      };
      completed += (await walk(plan)).completed;
    }
    assert.isAbove(completed, 500, "that were not cancelled");
  });
};
