// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Connect } from "../connection.ts";
import type { ConnectionFaults, FaultPlan } from "./fault.ts";
import { FaultyConnection } from "./faulty_connection.ts";

/** The faults that a plan has for a connection, the first of which is number 0. */
export function connectionFaults(plan: FaultPlan, connection: number): ConnectionFaults {
  return plan.connections[connection] ?? plan.later ?? {};
}

/**
 * Dials as `connect` does, and lets the plan happen to what was dialled: the first faults to the
 * first dial, and so on. Faults without a proxy, in every runtime and over every transport.
 *
 * @param options `onConnection` is told of each connection, whose reports count on.
 *
 * @example
 * ```ts
 * import { connectionPair } from "headrace/memory";
 * import { faultyConnect, planFaults } from "headrace/testing";
 *
 * const dial = faultyConnect(async () => connectionPair()[0], planFaults(7));
 * const connection = await dial();
 * connection.close();
 * ```
 */
export function faultyConnect(
  connect: Connect,
  plan: FaultPlan,
  options: { clock?: Clock; onConnection?: (connection: FaultyConnection) => void } = {},
): Connect {
  const { onConnection, ...rest } = options;
  let dials = 0;
  return async (signal) => {
    const { up = [], down = [] } = connectionFaults(plan, dials++);
    const inner = await connect(signal);
    const connection = new FaultyConnection(inner, { ...rest, sent: up, received: down });
    onConnection?.(connection);
    return connection;
  };
}
