// This module runs in every runtime.
/**
 * Faults on purpose: seeded plans that replay, and connections and a proxy that carry them out
 * between two real peers. And what a transport must honour, as cases for any test runner.
 *
 * @module headrace/testing
 */

export { checkPlan } from "./check_plan.ts";
export {
  type ConnectionFaults,
  type CutFault,
  type DelayFault,
  type DuplicateFault,
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  type FaultPlan,
  type FlipFault,
  type HalfCloseFault,
  MAX_DUPLICATE_BYTES,
  type StallFault,
  type SwallowFault,
  type ThrottleFault,
  type TruncateFault,
} from "./fault.ts";
export {
  createFaultProxy,
  FaultProxy,
  type FaultProxyOptions,
  type RelayReport,
} from "./fault_proxy.ts";
export { connectionFaults, faultyConnect } from "./faulty_connect.ts";
export { FaultyConnection, type FaultyConnectionOptions } from "./faulty_connection.ts";
export type { WayReport } from "./faulty_way.ts";
export { type LinkOptions, linkPlan } from "./link_plan.ts";
export { type ListenerSubject, listenerCases } from "./listener_cases.ts";
export { type PlanOptions, planFaults } from "./plan_faults.ts";
export { SeededRandom } from "./seeded_random.ts";
export {
  ConformanceError,
  type ConnectionPair,
  type TransportCase,
  type TransportSubject,
  transportCases,
} from "./transport_cases.ts";
