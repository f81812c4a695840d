import { join } from "node:path";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import {
  findPaired,
  PAIRED_RUNTIMES,
  PAIRED_SCHEMES,
  pairingTable,
  pullFrom,
} from "../../scripts/pairing.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";

export const pairingsSuite: Suite = ({ runtime, test }) => {
  // It starts the other runtimes by itself, so that once is enough.
  if (runtime !== "node26") return;
  for (const scheme of PAIRED_SCHEMES) {
    for (const name of PAIRED_RUNTIMES) {
      test(`pairings: real weights pass byte for byte from ${name} to each runtime over ${scheme}:// (node26 only)`, () =>
        withTempFolder(async (folder) => {
          const { found, missing } = await findPaired();
          const server = found.find((one) => one.name === name);
          if (server === undefined) {
            assert.include(missing, name);
            console.warn(`SKIPPED here: ${name.toUpperCase()} IS NOT ON THIS MACHINE, NOT PAIRED`);
            return;
          }
          const model = join(folder, "weights");
          await makeWeights(model, { shards: 3 });
          const pairings = await pullFrom(server, found, model, join(folder, "pulled"), scheme);
          console.log(pairingTable(pairings));
          assert.lengthOf(pairings, found.length);
          assert.deepEqual(
            pairings.filter(({ fault }) => fault !== undefined),
            [],
          );
        }));
    }
  }
};
