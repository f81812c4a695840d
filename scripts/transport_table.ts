// Compares the README's table of transports with what the last whole `npm test` came to, or with
// --write puts it there: npm test && node dist/scripts/transport_table.js [--write]
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RuntimeResults, transportTable } from "./transport_rules.ts";
import { report, root } from "./workspace.ts";

const README = join(root, "README.md");
const RESULTS = join(root, "dist", "test-results.json");
const PLACE = /(<!-- transports -->\n)[\s\S]*?(<!-- \/transports -->)/;

const problems: string[] = [];
if (!existsSync(RESULTS)) {
  problems.push("there are no results: run npm test, all of it, first");
} else {
  const results = JSON.parse(readFileSync(RESULTS, "utf8")) as RuntimeResults[];
  const readme = readFileSync(README, "utf8");
  const wanted = readme.replace(PLACE, `$1${transportTable(results)}\n$2`);
  if (!PLACE.test(readme)) problems.push("README.md has no place for the table");
  else if (process.argv.includes("--write")) writeFileSync(README, wanted);
  else if (readme !== wanted) {
    problems.push("README.md shows another table: node dist/scripts/transport_table.js --write");
  }
}
report("transport table", problems, "README.md says what the tests came to");
