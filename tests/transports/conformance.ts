import { type ListenerSubject, listenerCases } from "../../lib/testing/listener_cases.ts";
import { type ConnectionPair, transportCases } from "../../lib/testing/transport_cases.ts";
import type { Harness } from "../harness.ts";

export { quiet, rejection, turn } from "../../lib/testing/transport/check.ts";

/** Two ends of one connection. */
export type Pair = ConnectionPair;

/** What a transport can say, beyond what every one must. */
export interface TransportTraits {
  /** Whether the other end can tell a reset from an end-of-stream. */
  readonly reset: boolean;
  /** How many connections may be made at once; default 100. */
  readonly mostAtOnce?: number;
}

/** Sockets that are open in this process, where the runtime tells. */
function openSockets(runtime: string): (() => number) | undefined {
  if (!runtime.startsWith("node")) return undefined;
  const { process } = globalThis;
  return () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
}

/** What every transport must do: the same tests for each, given a way to make a connected pair. */
export function transportConformance(
  { test, runtime }: Harness,
  name: string,
  openPair: () => Promise<Pair>,
  { reset, mostAtOnce = 100 }: TransportTraits,
): void {
  const openCount = openSockets(runtime);
  const subject = { openPair, canReset: reset, mostAtOnce, ...(openCount && { openCount }) };
  for (const one of transportCases(subject)) {
    test(`${name}: ${one.name}`, one.run);
  }
}

/** What every listener must do: the same tests for each, given a way to listen and to dial. */
export function listenerConformance(
  { test }: Harness,
  name: string,
  subject: ListenerSubject,
): void {
  for (const one of listenerCases(subject)) {
    test(`${name} listener: ${one.name}`, one.run);
  }
}
