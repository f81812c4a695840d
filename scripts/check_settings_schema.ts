// Fails when lib/config/schema.json is not what the settings' schema makes; `--write` makes it anew.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { settingsSchema } from "./settings_schema.ts";
import { report, root } from "./workspace.ts";

const NAME = "lib/config/schema.json";
const path = join(root, NAME);
const wanted = JSON.parse(JSON.stringify(settingsSchema()));
if (process.argv.includes("--write")) {
  writeFileSync(path, `${JSON.stringify(wanted, null, 2)}\n`);
}
const isSame = isDeepStrictEqual(JSON.parse(readFileSync(path, "utf8")), wanted);
const problems = isSame
  ? []
  : [`${NAME} is stale: run node dist/scripts/check_settings_schema.js --write`];
report("settings schema", problems, `${NAME} is what the settings' schema makes`);
