// Take minutes together: they start processes of the command line by the hundred, damage a journal at
// each of its bytes, drive a browser, and cut links again and again.
import { damagedJournalsSuite } from "./checkpoint/damaged_journals.ts";
import { demoSuite } from "./cli/demo.ts";
import { lostOutputSuite } from "./cli/lost_output.ts";
import { pullSuite } from "./cli/pull.ts";
import { pullChangedSourceSuite } from "./cli/pull_changed_source.ts";
import { pullFaultsSuite } from "./cli/pull_faults.ts";
import { pullHttpSuite } from "./cli/pull_http.ts";
import { pullKilledSuite } from "./cli/pull_killed.ts";
import { pullStoppedSuite } from "./cli/pull_stopped.ts";
import { pushSuite } from "./cli/push.ts";
import { serveGarbageSuite } from "./cli/serve_garbage.ts";
import { settingsInForceSuite } from "./cli/settings_in_force.ts";
import { sweepsSuite } from "./cli/sweeps.ts";
import type { Suite } from "./harness.ts";
import { webSocketPairingsSuite } from "./scripts/pairings.ts";
import { dashboardSuite } from "./status/dashboard.ts";
import { fiftyCutsSuite } from "./testing/fifty_cuts.ts";
import { stoppedProcessesSuite } from "./testing/stopped_processes.ts";
import { tortureRunsSuite } from "./testing/torture_runs.ts";

/** Need sockets, files and time. */
export const longSuites: readonly Suite[] = [
  pullSuite,
  pullChangedSourceSuite,
  pullFaultsSuite,
  pullHttpSuite,
  pullKilledSuite,
  pullStoppedSuite,
  sweepsSuite,
  stoppedProcessesSuite,
  damagedJournalsSuite,
  demoSuite,
  lostOutputSuite,
  pushSuite,
  serveGarbageSuite,
  dashboardSuite,
  settingsInForceSuite,
  webSocketPairingsSuite,
  fiftyCutsSuite,
  tortureRunsSuite,
];
