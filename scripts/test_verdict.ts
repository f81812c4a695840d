// What the runs of all runtimes amount to, as a pure function; test.ts prints it.
import type { TestResult } from "./junit.ts";

/** What one runtime reported. */
export interface SuiteRun {
  readonly runtime: string;
  /** The runner's exit code. */
  readonly code: number;
  readonly tests: readonly TestResult[];
  /** Which tests it has to run; default: all that another runtime ran. */
  readonly expected?: ReadonlySet<string>;
}

/** The closing summary. Every line of trouble counts as one failure. */
export interface Verdict {
  readonly lines: readonly string[];
  readonly passed: number;
  readonly failed: number;
}

/** A test that names its runtime, as in `... (bun only)`, is not missed in the others. */
const ONLY_HERE = /\((?:node|deno|bun|workerd|chromium)\d* only\)$/;

/**
 * Sums the runs up. A runtime fails besides its failed tests when its runner did, when it ran
 * nothing, and for each test that another runtime ran and it did not. A runtime that is not
 * there is announced, and with `missingIsFailure` fails.
 */
export function compareRuns(
  runs: readonly SuiteRun[],
  missing: readonly string[],
  missingIsFailure: boolean,
): Verdict {
  const lines: string[] = [];
  let passed = 0;
  let failed = 0;
  const fail = (line: string): void => {
    failed += 1;
    lines.push(`FAILED  ${line}`);
  };
  const everywhere = new Set(
    runs.flatMap(({ tests }) => ran(tests)).filter((name) => !ONLY_HERE.test(name)),
  );
  for (const { runtime, code, tests, expected = everywhere } of runs) {
    const here = new Set(ran(tests));
    const bad = tests.filter(({ outcome }) => outcome === "failed");
    const good = tests.filter(({ outcome }) => outcome === "passed").length;
    passed += good;
    lines.push(`ran     ${runtime}: ${good} passed, ${bad.length} failed`);
    for (const { name } of bad) fail(`${runtime}: ${name}`);
    for (const name of everywhere) {
      if (expected.has(name) && !here.has(name))
        fail(`${runtime}: did not run "${name}", which another runtime ran`);
    }
    if (here.size === 0) fail(`${runtime}: ran no test`);
    if (code !== 0 && bad.length === 0) fail(`${runtime}: its runner ended with code ${code}`);
  }
  for (const runtime of missing) {
    if (missingIsFailure) fail(`${runtime}: could not be had on this machine`);
    else lines.push(`SKIPPED ${runtime}: COULD NOT BE HAD ON THIS MACHINE, NOTHING RAN IN IT`);
  }
  return { lines, passed, failed };
}

function ran(tests: readonly TestResult[]): string[] {
  return tests.filter(({ outcome }) => outcome !== "skipped").map(({ name }) => name);
}
