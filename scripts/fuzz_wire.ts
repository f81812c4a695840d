// `npm run fuzz`: receives a million seeded mutations of recorded transfers and counts what became
// of them. `npm run fuzz -- --count 1000 --seed 7`; `--replay 123` runs one seed and shows all.
import { parseArgs } from "node:util";
import { type Outcome, tryMutation } from "../tests/streams/mutations.ts";

const { values: options } = parseArgs({
  options: {
    count: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    replay: { type: "string" },
  },
});

if (options.replay !== undefined) {
  console.log(`seed ${options.replay}: ${await tryMutation(Number(options.replay))}`);
} else {
  const count = Number(options.count);
  const first = Number(options.seed);
  const outcomes = new Map<Outcome, number>();
  console.log(`${count} mutations, seeds ${first} to ${first + count - 1}`);
  for (let n = 0; n < count; n++) {
    try {
      const outcome = await tryMutation(first + n);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    } catch (error) {
      console.error(`Failed; replay with: npm run fuzz -- --replay ${first + n}`);
      throw error;
    }
  }
  for (const [outcome, times] of [...outcomes].sort()) console.log(`${outcome}: ${times}`);
}
