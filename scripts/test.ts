// `npm test`: every suite in every runtime. `npm test -- --only chunker --runtime bun` narrows it.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { portableTests, testsOf } from "../tests/runtimes/portable.ts";
import { suitesOf } from "../tests/runtimes/suites_of.ts";
import { parseJunit } from "./junit.ts";
import { findRuntimes, hasTestRunner, installRuntimes, type Runtime } from "./runtimes.ts";
import { compareRuns, type SuiteRun } from "./test_verdict.ts";
import { root, run, withScratchFolder } from "./workspace.ts";

/** Above this a runtime hangs where its own time limit for a test cannot help. */
const RUNTIME_LIMIT_MS = 30 * 60_000;
/** One more than the machines that check this have cores: tests wait as well as compute. */
const AT_ONCE = 3;
/** Those that take longest begin first, so that none is left alone at the end. */
const LONGEST_FIRST: readonly Runtime["kind"][] = ["node", "chromium", "deno", "bun", "workerd"];

/** The tests that run everywhere. */
const PORTABLE: ReadonlySet<string> = new Set(portableTests("node").keys());
/** The tests that a runtime has to run, where that are not all. */
const EXPECTED: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["workerd", PORTABLE],
  ["chromium", PORTABLE],
]);

const { values: options } = parseArgs({
  options: { only: { type: "string" }, runtime: { type: "string" } },
});

/** What runs the suites: a program and its arguments, that write a JUnit report beside the readable output. */
function runnerOf(runtime: Runtime, reportFile: string): [program: string, args: string[]] {
  if (hasTestRunner(runtime)) return [runtime.command, argumentsFor(runtime, reportFile)];
  const script = join(root, "dist/scripts/run_portable.js");
  return [process.execPath, [script, runtime.kind, runtime.command, reportFile]];
}

/** The own test runner's arguments: all the suites. */
function argumentsFor({ kind }: Runtime, reportFile: string): string[] {
  if (kind === "deno") {
    const suites = join(root, "tests/runtimes/deno.ts");
    const config = join(root, "deno.json");
    const flags = ["-A", "--no-check", "--config", config];
    return ["test", ...flags, `--junit-path=${reportFile}`, suites];
  }
  if (kind === "bun") {
    const suites = join(root, "tests/runtimes/bun.test.ts");
    return ["test", "--reporter=junit", `--reporter-outfile=${reportFile}`, suites];
  }
  return [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=junit",
    `--test-reporter-destination=${reportFile}`,
    join(root, "dist/tests/runtimes/node.js"),
  ];
}

/** Where two Nodes run, the first stands for both in what takes long. */
function leavesOutLong({ kind, name }: Runtime): boolean {
  return kind === "node" && name !== chosen.find((one) => one.kind === "node")?.name;
}

async function runSuites(runtime: Runtime): Promise<SuiteRun> {
  const withLong = !leavesOutLong(runtime);
  return withScratchFolder(async (folder) => {
    const reportFile = join(folder, "junit.xml");
    const started = performance.now();
    // Run from a folder that holds nothing: no suite may depend on where it is started.
    const { code, output } = await run(...runnerOf(runtime, reportFile), {
      cwd: folder,
      env: { HEADRACE_ONLY: options.only ?? "", HEADRACE_LONG: withLong ? "" : "no" },
      timeoutMs: RUNTIME_LIMIT_MS,
    });
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const tests = existsSync(reportFile) ? parseJunit(readFileSync(reportFile, "utf8")) : [];
    console.log(
      `\n=== ${runtime.name} (${runtime.version}), ${seconds} s ===\n${output.trimEnd()}`,
    );
    const expected = withLong
      ? EXPECTED.get(runtime.name)
      : new Set(testsOf(runtime.name, suitesOf(false)).keys());
    return { runtime: runtime.name, code, tests, ...(expected && { expected }) };
  });
}

await installRuntimes();
const { found, missing } = await findRuntimes();
const chosen = found.filter(({ name }) => name.startsWith(options.runtime ?? ""));
if (chosen.length === 0) {
  console.error(`No runtime "${options.runtime}"; there are ${found.map(({ name }) => name)}`);
}

const runs: SuiteRun[] = [];
const waiting = chosen.toSorted(
  (a, b) => LONGEST_FIRST.indexOf(a.kind) - LONGEST_FIRST.indexOf(b.kind),
);
const worker = async (): Promise<void> => {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    runs.push(await runSuites(next));
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, worker));

const unwanted = options.runtime === undefined ? missing : [];
// The table of transports in the README is made of what a whole run came to.
if (options.only === undefined && options.runtime === undefined) {
  const results = runs.map(({ runtime, tests }) => ({ runtime, tests }));
  writeFileSync(join(root, "dist", "test-results.json"), JSON.stringify(results));
}
const { lines, passed, failed } = compareRuns(runs, unwanted, process.env.CI === "true");
console.log(`\n${lines.join("\n")}\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
