// Started by the tests to be killed: writes to a staged output and says how far it is.
import process from "node:process";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { bytesOf, fetchTensor, openFolder, sinkOf, V1, writeLeaf } from "./staging_fixture.ts";

const [mode, folder = ""] = process.argv.slice(2);
const output = await openFolder(folder);
const say = (line: string) => process.stdout.write(`${line}\n`);

if (mode === "rewrite") {
  // The same few leaves over and over, with other bytes each time: a leaf that is held is taken
  // back before it is overwritten, or the kill finds it out.
  const sinks = [0, 1, 2].map((i) => sinkOf(output, `f${i}`, 7, 2 * LEAF_BYTES + 9));
  await Promise.all(
    sinks.map(async (sink, i) => {
      await sink.begin(V1, (await sink.held())?.leaves ?? []);
      for (let turn = 0; ; turn++) {
        const bytes = new Uint8Array(2 * LEAF_BYTES + 9).fill(process.pid * 7 + turn + i);
        await writeLeaf(sink, bytes, turn % 3);
        say("written");
      }
    }),
  );
} else {
  const files = Array.from({ length: 100 }, (_, i) => ({ fileName: `f${i}`, byteLength: 1000 }));
  for (const [i, { fileName, byteLength }] of files.entries()) {
    await fetchTensor(output, fileName, 0, bytesOf(byteLength, i));
  }
  say("finishing");
  await output.finish(files);
  say("finished");
}
