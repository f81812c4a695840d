import type { Suite } from "../harness.ts";
import { ioSuites } from "../io_suites.ts";
import { portableSuites } from "../portable_suites.ts";
import { processSuites } from "../process_suites.ts";

/** The suites of a runtime that has sockets and files. */
export function suitesOf(runtime: string): readonly Suite[] {
  const suites = [...portableSuites, ...ioSuites];
  // The oldest Node stands for Node here; in the newest, pairings and the demo start the commands.
  return runtime === "node26" ? suites : [...suites, ...processSuites];
}
