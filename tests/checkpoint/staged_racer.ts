// Started by the tests to write in a folder that is being swept: opens, leaves, opens again, finishes.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { bytesOf, fetchTensor, openFolder, sinkOf, V1, writeLeaf } from "./staging_fixture.ts";

const [folder = ""] = process.argv.slice(2);
const output = join(folder, "out");
const body = bytesOf(2 * 1024 * 1024 + 3, 7);
const ROUNDS = 60;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

for (let round = 0; round < ROUNDS; round++) {
  const first = await openFolder(output);
  const sink = sinkOf(first, "f", 0, body.byteLength);
  await sink.begin(V1, []);
  await writeLeaf(sink, body, round % 3);
  await first.release();
  if (round % 5 === 0) {
    process.stdout.write("left\n");
    await lines.next();
  }
  const second = await openFolder(output);
  await fetchTensor(second, "f", 0, body);
  await second.finish([{ fileName: "f", byteLength: body.byteLength }]);
  const found = readFileSync(join(output, "f"));
  process.stdout.write(found.equals(body) ? "right\n" : "wrong\n");
  rmSync(join(output, "f"));
}
process.stdout.write("over\n");
process.stdin.destroy();
