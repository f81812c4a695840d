// Start processes of the command line by the hundred.
import { pullSuite } from "./cli/pull.ts";
import { pullChangedSourceSuite } from "./cli/pull_changed_source.ts";
import { pullFaultsSuite } from "./cli/pull_faults.ts";
import { pullHttpSuite } from "./cli/pull_http.ts";
import { pullKilledSuite } from "./cli/pull_killed.ts";
import { pullStoppedSuite } from "./cli/pull_stopped.ts";
import { sweepsSuite } from "./cli/sweeps.ts";
import type { Suite } from "./harness.ts";
import { stoppedProcessesSuite } from "./testing/stopped_processes.ts";

/** What becomes of a pull when things go wrong around its processes, and when they do not. */
export const processSuites: readonly Suite[] = [
  pullSuite,
  pullChangedSourceSuite,
  pullFaultsSuite,
  pullHttpSuite,
  pullKilledSuite,
  pullStoppedSuite,
  sweepsSuite,
  stoppedProcessesSuite,
];
