// Fails when a lock would keep `npm ci` from working on another machine; `--mend` mends it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Lock, lockProblems, mendLock } from "./lock_rules.ts";
import { readJson, report, root } from "./workspace.ts";

const paths = ["package-lock.json", "tests/runtimes/package-lock.json"];
if (process.argv.includes("--mend")) {
  for (const path of paths) {
    writeFileSync(join(root, path), `${JSON.stringify(mendLock(readJson<Lock>(path)), null, 2)}\n`);
  }
}
const problems = paths.flatMap((path) => lockProblems(path, readJson<Lock>(path)));
report("locks", problems, `${paths.length} locks serve every platform`);
