// Pulls the model of real weights between all runtimes: npm run build && node dist/scripts/pairings.js
import { join } from "node:path";
import { makeWeights } from "../lib/cli/demo_weights.ts";
import { findPaired, PAIRED_SCHEMES, type Pairing, pairingTable, pullFrom } from "./pairing.ts";
import { installRuntimes } from "./runtimes.ts";
import { withScratchFolder } from "./workspace.ts";

await installRuntimes();
await withScratchFolder(async (folder) => {
  const { found, missing } = await findPaired();
  const model = join(folder, "weights");
  const { tensors, bytes, files } = await makeWeights(model, { shards: 3 });
  console.log(
    `${tensors} tensors, ${bytes} bytes in ${files.length} files, compared byte for byte`,
  );
  const all: Pairing[] = [];
  for (const scheme of PAIRED_SCHEMES) {
    const pairings: Pairing[] = [];
    for (const server of found) {
      pairings.push(...(await pullFrom(server, found, model, join(folder, scheme), scheme)));
    }
    console.log(`\nover ${scheme}://\n${pairingTable(pairings)}`);
    for (const { server, client, fault } of pairings) {
      if (fault !== undefined) console.log(`FAILED  ${server} to ${client}: ${fault}`);
    }
    all.push(...pairings);
  }
  for (const name of missing) console.log(`MISSING ${name}: COULD NOT BE HAD ON THIS MACHINE`);
  const failed = all.some(({ fault }) => fault !== undefined);
  process.exitCode = failed || missing.length > 0 ? 1 : 0;
});
