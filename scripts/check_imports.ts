// Fails when a file of lib/ imports against the direction of the rooms, or re-exports wholesale.
import { importProblems } from "./import_rules.ts";
import { filesBelow, readText, report } from "./workspace.ts";

const files = ["mod.ts", ...filesBelow("lib", ".ts")];
const problems = files.flatMap((path) => importProblems(path, readText(path)));
report("imports", problems, `${files.length} files import in one direction`);
