import type { Suite } from "../harness.ts";
import { ioSuites } from "../io_suites.ts";
import { longSuites } from "../long_suites.ts";
import { portableSuites } from "../portable_suites.ts";

/** The suites of a runtime that has sockets and files, with or without those that take long. */
export function suitesOf(withLong: boolean): readonly Suite[] {
  const suites = [...portableSuites, ...ioSuites];
  return withLong ? [...suites, ...longSuites] : suites;
}
