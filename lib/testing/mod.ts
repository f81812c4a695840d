// This module runs in every runtime.
/**
 * Faults on purpose, for whoever tests what has to survive them: seeded plans that replay.
 *
 * @module
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
export { type PlanOptions, planFaults } from "./plan_faults.ts";
export { SeededRandom } from "./seeded_random.ts";
