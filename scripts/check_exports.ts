// Fails when npm and JSR would offer different subpaths, or one that leads nowhere.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { exportProblems, type Manifest } from "./export_rules.ts";
import { readJson, report, root } from "./workspace.ts";

const npm = readJson<Manifest>("package.json");
const jsr = readJson<Manifest>("deno.json");
const problems = exportProblems(npm, jsr, (path) => existsSync(join(root, path)));
report("exports", problems, `${Object.keys(jsr.exports).length} subpaths agree on npm and JSR`);
