// This module runs in every runtime.
import { byteCases } from "./transport/byte_cases.ts";
import { endingCases } from "./transport/ending_cases.ts";
import { pressureCases } from "./transport/pressure_cases.ts";
import type { TransportCase, TransportSubject } from "./transport/subject.ts";

export { ConformanceError } from "./transport/check.ts";
export type { ConnectionPair, TransportCase, TransportSubject } from "./transport/subject.ts";

/**
 * Everything that a transport must honour to carry headrace: order, backpressure both ways,
 * half-close, aborts with their reason, large and tiny writes, cuts, many connections, leaks. Cases
 * know no test runner; each rejects with a {@linkcode ConformanceError} that says what was found, be it
 * that it never ends. What is about `receive` passes where a connection has none.
 *
 * @example
 * ```ts
 * import { connectionPair } from "headrace/memory";
 * import { transportCases } from "headrace/testing";
 *
 * const cases = transportCases({ openPair: async () => connectionPair() });
 * for (const { name, run } of cases.slice(0, 3)) {
 *   await run(); // or, in a test runner: test(name, run)
 *   console.log("ok", name);
 * }
 * ```
 */
export function transportCases(subject: TransportSubject): TransportCase[] {
  return [...byteCases(subject), ...pressureCases(subject), ...endingCases(subject)];
}
