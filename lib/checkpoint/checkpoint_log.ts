// This module runs in every runtime.
import { EventLog } from "../log.ts";
import type { Ledger } from "./ledger.ts";

const log = new EventLog("checkpoint");

/** An output is opened of which an earlier attempt has left something. */
export function logCheckpoint(output: string, ledger: Ledger): void {
  if (!log.isOn) return;
  let [tensors, leaves] = [0, 0];
  for (const { kind } of ledger.records()) {
    if (kind === "begin") tensors++;
    if (kind === "leaf") leaves++;
  }
  if (tensors > 0) log.event("checkpoint resumed", () => ({ output, tensors, leaves }));
}
