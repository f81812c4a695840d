import { join } from "node:path";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import { findPaired, PAIRED_RUNTIMES, pairingTable, pullFrom } from "../../scripts/pairing.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Harness, Suite } from "../harness.ts";

/** They start the other runtimes by themselves: once is enough, over TCP in the newer Node. */
export const tcpPairingsSuite: Suite = (harness) => {
  if (harness.runtime === "node26") pairings(harness, "tcp");
};

/** Over WebSocket in the Node that has time for it. */
export const webSocketPairingsSuite: Suite = (harness) => {
  if (harness.runtime.startsWith("node")) pairings(harness, "ws");
};

function pairings({ test }: Harness, scheme: string): void {
  for (const name of PAIRED_RUNTIMES) {
    test(`pairings: real weights pass byte for byte from ${name} to each runtime over ${scheme}:// (node only)`, () =>
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
