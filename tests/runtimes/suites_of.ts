import type { Suite } from "../harness.ts";
import { ioSuites } from "../io_suites.ts";
import { longSuites } from "../long_suites.ts";
import { portableSuites } from "../portable_suites.ts";

/** The suites of a runtime that has sockets and files. */
export function suitesOf(runtime: string): readonly Suite[] {
  const suites = [...portableSuites, ...ioSuites];
  // The oldest Node stands for Node in these; in the newest, pairings start the commands.
  return runtime === "node26" ? suites : [...suites, ...longSuites];
}
