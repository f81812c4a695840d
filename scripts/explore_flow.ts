// Looks at flow control for longer than the tests do: every order of events in small plans, and
// random ones over many seeds. `node dist/scripts/explore_flow.js [FIRST_SEED] [SEEDS]`
import { explore } from "../tests/session/model/explore.ts";
import { DEEP_PLANS, QUICK_PLANS } from "../tests/session/model/plans.ts";
import { walk } from "../tests/session/model/walk.ts";

const MOST_STATES = 1_000_000;
const TRANSFERS = 2000;
const [firstSeed = 1, seeds = 100] = process.argv.slice(2).map(Number);

const sum = { states: 0, rests: 0, steps: 0 };
for (const [name, plan] of Object.entries({ ...QUICK_PLANS, ...DEEP_PLANS })) {
  const { states, rests, steps, isCut } = await explore(plan, MOST_STATES);
  process.stdout.write(`${states}${isCut ? " and more" : ""} states, ${steps} steps: ${name}\n`);
  sum.states += states;
  sum.rests += rests;
  sum.steps += steps;
}
process.stdout.write(`${sum.states} states, ${sum.rests} at rest, ${sum.steps} steps\n`);
const walked = { steps: 0, rests: 0, completed: 0 };
for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
  const atOnce = 3 + (seed % 30);
  const { steps, rests, completed } = await walk({
    seed,
    transfers: TRANSFERS,
    atOnce,
    lanes: 1 + (seed % 2),
  });
  walked.steps += steps;
  walked.rests += rests;
  walked.completed += completed;
}
process.stdout.write(
  `${seeds} seeds from ${firstSeed}, ${seeds * TRANSFERS} transfers, ${walked.completed} complete, ` +
    `${walked.rests} at rest, ${walked.steps} steps\n`,
);
