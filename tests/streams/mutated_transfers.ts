import { assert } from "chai";
import type { Suite } from "../harness.ts";
import { type Outcome, tryMutation } from "./mutations.ts";

const COUNT = 2_000;

export const mutatedTransfersSuite: Suite = ({ test }) => {
  test(`pipeline: ${COUNT} mutations end in the true tensor or a typed error, within bounded memory`, async () => {
    const outcomes = new Map<Outcome, number>();
    for (let seed = 1; seed <= COUNT; seed++) {
      const outcome = await tryMutation(seed);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // Both what the link damages and what passes its checks must have been among them.
    for (const outcome of ["harmless", "transport", "protocol", "integrity"] as const) {
      assert.isAbove(outcomes.get(outcome) ?? 0, COUNT / 200, outcome);
    }
  });
};
