import { join } from "node:path";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import {
  findPaired,
  PAIRED_SCHEMES,
  pairingTable,
  pullInEveryPairing,
} from "../../scripts/pairing.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";

export const pairingsSuite: Suite = ({ runtime, test }) => {
  // It starts the other runtimes by itself, so that once is enough.
  if (runtime !== "node26") return;
  for (const scheme of PAIRED_SCHEMES) {
    test(`pairings: real weights pass byte for byte between each runtime and each, over ${scheme}:// (node26 only)`, () =>
      withTempFolder(async (folder) => {
        const { found, missing } = await findPaired();
        for (const name of missing) {
          console.warn(`SKIPPED here: ${name.toUpperCase()} IS NOT ON THIS MACHINE, NOT PAIRED`);
        }
        const model = join(folder, "weights");
        await makeWeights(model, { shards: 3 });
        const pairings = await pullInEveryPairing(found, model, join(folder, "pulled"), scheme);
        console.log(pairingTable(pairings));
        assert.lengthOf(pairings, found.length ** 2);
        assert.deepEqual(
          pairings.filter(({ fault }) => fault !== undefined),
          [],
        );
      }));
  }
};
