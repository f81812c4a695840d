// Fails when a portable file names what only one runtime has, or needs Node's types.
import { PORTABLE_ROOMS } from "./import_rules.ts";
import { portabilityProblems } from "./portability_rules.ts";
import { filesBelow, readText, report, root, run } from "./workspace.ts";

const rooms = PORTABLE_ROOMS.flatMap((room) => filesBelow(`lib/${room}`, ".ts"));
const topLevel = filesBelow("lib", ".ts").filter((path) => path.split("/").length === 2);
const files = ["mod.ts", ...topLevel, ...rooms];

const named = files.flatMap((path) => portabilityProblems(path, readText(path)));
const compiler = `${root}/node_modules/typescript/bin/tsc`;
const types = await run(process.execPath, [compiler, "-p", "tsconfig.portable.json"]);
const typed = types.code === 0 ? [] : types.output.trim().split("\n");
report("portability", [...named, ...typed], `${files.length} files run in every runtime`);
