// The suites that need nothing but what every runtime has, for runtimes without a test runner.
import type { Harness, Suite } from "../harness.ts";
import { portableSuites } from "../portable_suites.ts";

/** How a test ended. */
export interface PortableResult {
  readonly name: string;
  /** Why it failed, if it did. */
  readonly error?: string;
}

/** Tests by their names. */
export type PortableTests = ReadonlyMap<string, () => void | Promise<void>>;

/** Every test of the portable suites. */
export function portableTests(runtime: string): PortableTests {
  return testsOf(runtime, portableSuites);
}

/** Every test of these suites. */
export function testsOf(runtime: string, suites: readonly Suite[]): PortableTests {
  const tests = new Map<string, () => void | Promise<void>>();
  const names = new Set<string>();
  const test: Harness["test"] = (name, body) => {
    if (tests.has(name)) throw new TypeError(`Two tests are called "${name}"`);
    names.add(name);
    tests.set(name, body);
  };
  for (const suite of suites) suite({ runtime, names, test });
  return tests;
}

/** Runs one of them; a test that takes longer than `limitMs` has failed. */
export async function runPortable(
  tests: PortableTests,
  name: string,
  limitMs: number,
): Promise<PortableResult> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still running after ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([(async () => tests.get(name)?.())(), late]);
    return { name };
  } catch (error) {
    return { name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  } finally {
    clearTimeout(timer);
  }
}
