// Hands all suites to a runtime's own test runner; the files beside this one say which.
import type { Harness } from "../harness.ts";
import { suitesOf } from "./suites_of.ts";

/** A test that takes longer hangs; it fails under its name instead of stopping the run. */
export const TEST_TIMEOUT_MS = 120_000;

/** Registers every test, or those whose name holds `HEADRACE_ONLY`, whatever its case. */
export function registerSuites(runtime: string, test: Harness["test"]): void {
  const wanted = (process.env.HEADRACE_ONLY ?? "").toLowerCase();
  const names = new Set<string>();
  const register: Harness["test"] = (name, body) => {
    if (names.has(name)) throw new TypeError(`Two tests are called "${name}"`);
    names.add(name);
    if (name.toLowerCase().includes(wanted)) test(name, body);
  };
  const withLong = process.env.HEADRACE_LONG !== "no";
  for (const suite of suitesOf(withLong)) suite({ runtime, names, test: register });
}
