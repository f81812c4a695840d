// This module runs in every runtime.
import { systemClock } from "../../clock.ts";
import { deferred } from "../../deferred.ts";

/** What a case found that must not be; a test runner shows its message. */
export class ConformanceError extends Error {
  override readonly name: string = "ConformanceError";
}

/** @throws {ConformanceError} with the message, unless the condition holds. */
export function check(condition: boolean, message: string): void {
  if (!condition) throw new ConformanceError(message);
}

/** @throws {ConformanceError} unless both are the very same. */
export function checkSame(found: unknown, wanted: unknown, what: string): void {
  check(Object.is(found, wanted), `${what}: found ${String(found)}, wanted ${String(wanted)}`);
}

/** @throws {ConformanceError} unless the value is of this class. */
export function checkKind(
  found: unknown,
  kind: abstract new (...args: never[]) => unknown,
  what: string,
): void {
  check(found instanceof kind, `${what}: found ${String(found)}, wanted a ${kind.name}`);
}

/** What a promise rejects with; fails if it does not. */
export async function rejection(promise: Promise<unknown> | undefined): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new ConformanceError("The promise was kept, but should have been rejected.");
}

/** How long a case may take, if nothing else is said. */
const DEFAULT_TIMEOUT_MS = 120_000;

/** @throws {ConformanceError} for work that is not over in time, or what it fails with. */
export async function within(
  work: () => Promise<void>,
  timeoutMs: number = DEFAULT_TIMEOUT_MS,
): Promise<void> {
  const late = deferred<never>();
  const over = () =>
    late.reject(new ConformanceError(`It was not over after ${timeoutMs / 1000} s`));
  const cancel = systemClock.after(timeoutMs, over);
  try {
    await Promise.race([work(), late.promise]);
  } finally {
    cancel();
  }
}

/** One pass of the event loop, in which a millisecond goes by: some runtimes turn without time passing. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Waits until a count has not moved for many passes of the event loop. */
export async function quiet(count: () => number): Promise<void> {
  let last = count();
  for (let still = 0; still < 100; still++) {
    await turn();
    if (count() !== last) still = 0;
    last = count();
  }
}
