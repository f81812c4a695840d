// `npm run torture`: moves tensors over links full of faults, a run for each seed, and fails for a
// wrong byte, an untyped error, a hang, a leak or memory that grows. `-- --runs 1000 --seed 1`;
// `--replay 123` runs one seed and shows all of it.
import { parseArgs } from "node:util";
import * as tcp from "../lib/transports/tcp_node.ts";
import { type RunReport, runScenario } from "../tests/testing/torture/run_scenario.ts";
import { planScenario, type Scenario } from "../tests/testing/torture/scenario.ts";
import { handlesLeft, type MemoryUse, memoryUse } from "./process_state.ts";
import { TortureSummary } from "./torture_summary.ts";

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    replay: { type: "string" },
  },
});
const TELL_EVERY = 50;
/** Fewer runs say nothing of memory: the first ones load, compile and fill what stays. */
const LEAST_RUNS_FOR_GROWTH = 200;
const MOST_GROWTH_BYTES = 4 * 1024 * 1024;

const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));

/** Those of runs that have been complained of. */
let knownHandles = 0;

async function runOne(scenario: Scenario): Promise<RunReport> {
  const report = await runScenario(scenario, tcp);
  // What nobody has handled by now nobody will.
  await new Promise((resolve) => setTimeout(resolve));
  const problems = [...report.problems];
  for (const reason of unhandled.splice(0)) {
    problems.push(`unhandled rejection: ${reason instanceof Error ? reason.stack : reason}`);
  }
  const handles = await handlesLeft(knownHandles);
  if (handles.length > knownHandles) problems.push(`left behind: ${handles.join(", ")}`);
  knownHandles = Math.max(knownHandles, handles.length);
  return { ...report, problems };
}

function complain(scenario: Scenario, { problems, outcomes }: RunReport): void {
  console.error(`\nSeed ${scenario.seed} FAILED:`);
  for (const problem of problems) console.error(`  ${problem}`);
  console.error(`outcomes: ${outcomes.join(", ")}`);
  console.error(`plan: ${JSON.stringify(scenario)}`);
  console.error(`Replay with: npm run torture -- --replay ${scenario.seed}\n`);
}

async function replay(seed: number): Promise<boolean> {
  const scenario = planScenario(seed);
  console.log(JSON.stringify(scenario, undefined, 1));
  const report = await runOne(scenario);
  console.log(report);
  return report.problems.length === 0;
}

async function torture(runs: number, first: number): Promise<boolean> {
  const summary = new TortureSummary();
  const quarters = [1, 2, 3, 4].map((quarter) => Math.ceil((runs * quarter) / 4));
  const memory: MemoryUse[] = [];
  const startedMs = performance.now();
  const seconds = (): string => ((performance.now() - startedMs) / 1000).toFixed(0);
  console.log(`${runs} runs, seeds ${first} to ${first + runs - 1}`);
  console.log(`memory before: ${(await memoryUse()).text}`);
  for (let n = 1; n <= runs; n++) {
    const scenario = planScenario(first + n - 1);
    const beganMs = performance.now();
    const report = await runOne(scenario);
    summary.add(scenario, report, performance.now() - beganMs);
    if (report.problems.length > 0) complain(scenario, report);
    const { failedSeeds } = summary;
    if (n % TELL_EVERY === 0)
      console.log(`${n} runs in ${seconds()} s, ${failedSeeds.length} failed`);
    if (!quarters.includes(n)) continue;
    memory.push(await memoryUse());
    console.log(`memory after ${n} runs: ${memory.at(-1)?.text}`);
  }
  const { failedSeeds } = summary;
  console.log(`\n${summary}`);
  const grownBytes = (memory.at(-1)?.usedBytes ?? 0) - (memory[0]?.usedBytes ?? 0);
  const hasGrown = runs >= LEAST_RUNS_FOR_GROWTH && grownBytes > MOST_GROWTH_BYTES;
  console.log(`memory grown since the first quarter: ${(grownBytes / 1024).toFixed(0)} KiB`);
  if (hasGrown) console.error("FAILED: memory grows from run to run");
  if (failedSeeds.length > 0) console.error(`FAILED seeds: ${failedSeeds.join(", ")}`);
  console.log(
    `${runs - failedSeeds.length} passed, ${failedSeeds.length} failed, in ${seconds()} s`,
  );
  return failedSeeds.length === 0 && !hasGrown;
}

const isWell =
  options.replay === undefined
    ? await torture(Number(options.runs), Number(options.seed))
    : await replay(Number(options.replay));
process.exitCode = isWell ? 0 : 1;
