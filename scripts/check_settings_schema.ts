// Fails when lib/config/schema.json or the table of docs/settings.md is not what the settings make;
// `--write` makes both anew.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { settingsSchema } from "./settings_schema.ts";
import { withSettingsTable } from "./settings_table.ts";
import { report, root } from "./workspace.ts";

const [schemaName, guideName] = ["lib/config/schema.json", "docs/settings.md"];
const [schemaPath, guidePath] = [join(root, schemaName), join(root, guideName)];
const wanted = JSON.parse(JSON.stringify(settingsSchema()));
if (process.argv.includes("--write")) {
  writeFileSync(schemaPath, `${JSON.stringify(wanted, null, 2)}\n`);
  writeFileSync(guidePath, withSettingsTable(readFileSync(guidePath, "utf8")));
}
const guide = readFileSync(guidePath, "utf8");
const stale = [
  ...(isDeepStrictEqual(JSON.parse(readFileSync(schemaPath, "utf8")), wanted) ? [] : [schemaName]),
  ...(withSettingsTable(guide) === guide ? [] : [guideName]),
];
const problems = stale.map(
  (name) => `${name} is stale: run node dist/scripts/check_settings_schema.js --write`,
);
report("settings schema", problems, `${schemaName} and ${guideName} are what the settings make`);
