// Fails when a portable file, or one elsewhere that says it is one, names what only one runtime has;
// and when the portable rooms need Node's types.
import { PORTABLE_ROOMS } from "./import_rules.ts";
import { portabilityProblems } from "./portability_rules.ts";
import { filesBelow, readText, report, root, run } from "./workspace.ts";

const MARK = "// This module runs in every runtime.\n";
const rooms = PORTABLE_ROOMS.flatMap((room) => filesBelow(`lib/${room}`, ".ts"));
const topLevel = filesBelow("lib", ".ts").filter((path) => path.split("/").length === 2);
const marked = filesBelow("lib", ".ts").filter(
  (path) => !path.startsWith("lib/platform/") && readText(path).startsWith(MARK),
);
const files = [...new Set(["mod.ts", ...topLevel, ...rooms, ...marked])];

const named = files.flatMap((path) => portabilityProblems(path, readText(path)));
const compiler = `${root}/node_modules/typescript/bin/tsc`;
const types = await run(process.execPath, [compiler, "-p", "tsconfig.portable.json"]);
const typed = types.code === 0 ? [] : types.output.trim().split("\n");
report("portability", [...named, ...typed], `${files.length} files run in every runtime`);
