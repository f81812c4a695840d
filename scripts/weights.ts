// Writes the model of real weights that the demo moves: node dist/scripts/weights.js FOLDER [SHARDS]
import { makeWeights } from "../lib/cli/demo_weights.ts";
import { HeadraceError } from "../lib/errors.ts";

const [folder, shards = "3"] = process.argv.slice(2);
if (folder === undefined) {
  console.error("usage: weights FOLDER [SHARDS]");
  process.exitCode = 2;
} else {
  try {
    const made = await makeWeights(folder, { shards: Number(shards) });
    console.log(
      `${made.tensors} tensors, ${made.bytes} bytes in ${made.files.length} files in ${made.folder}`,
    );
  } catch (error) {
    if (!(error instanceof HeadraceError || error instanceof RangeError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
