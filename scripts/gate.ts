// `npm run gate`: everything a change has to pass, in one run. Goes on past a failure, names it at
// the end, and closes with the count of checks and tests.
import { join } from "node:path";
import { findRuntimes, installRuntimes } from "./runtimes.ts";
import { root, run } from "./workspace.ts";

const bin = (name: string): string => join(root, "node_modules", ".bin", name);
const script = (name: string): [string, string] => [
  process.execPath,
  join(root, "dist", "scripts", `${name}.js`),
];

await installRuntimes();
const deno = (await findRuntimes()).found.find(({ kind }) => kind === "deno")?.command ?? "deno";

/** Each step is a name and the command that must succeed. */
const STEPS: readonly (readonly [name: string, ...command: string[]])[] = [
  ["format and lint", bin("biome"), "check", "--error-on-warnings", "."],
  ["types", bin("tsc"), "-p", "tsconfig.json", "--noEmit"],
  ["types of the page", bin("tsc"), "-p", "examples/browser/tsconfig.json"],
  ["imports", ...script("check_imports")],
  ["portability", ...script("check_portability")],
  ["exports", ...script("check_exports")],
  ["settings schema", ...script("check_settings_schema")],
  ["locks", ...script("check_locks")],
  ["tests", "npm", "test"],
  ["transport table", ...script("transport_table")],
  ["docs", ...script("check_docs")],
  ["API reference", ...script("check_reference")],
  ["bundle size", ...script("check_bundle")],
  ["npm package", ...script("check_package")],
  ["quick start", ...script("newcomer")],
  ["JSR package", deno, "publish", "--quiet", "--dry-run", "--allow-dirty"],
];
const CLOSING_LINE = /^(\d+) passed, (\d+) failed$/gm;

let passed = 0;
let failed = 0;
const verdicts: string[] = [];
for (const [name, command, ...args] of STEPS) {
  console.log(`\n##### ${name}`);
  const started = performance.now();
  const { code, output } = await run(command ?? "", args, { echo: true });
  // A step that counts for itself closes with the same line as the gate.
  const [, good, bad] = [...output.matchAll(CLOSING_LINE)].at(-1) ?? [];
  passed += Number(good ?? (code === 0 ? 1 : 0));
  failed += Math.max(Number(bad ?? 0), code === 0 ? 0 : 1);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  verdicts.push(`${code === 0 ? "ok    " : "FAILED"}  ${name} (${seconds} s)`);
}
console.log(`\n${verdicts.join("\n")}\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
