// Prints what there is to run: each bench's question, from its first line.
import { readdirSync, readFileSync } from "node:fs";

const folder = new URL("./", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));
for (const name of files.sort()) {
  const question = readFileSync(new URL(name, folder), "utf8").split("\n", 1)[0]?.slice(3) ?? "";
  process.stdout.write(`node bench/${name.padEnd(20)}  ${question}\n`);
}
