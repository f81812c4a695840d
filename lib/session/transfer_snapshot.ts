// This module runs in every runtime.
import { formatAddress } from "../tensor/address.ts";
import type { TransferProgress } from "../tensor/progress.ts";
import { faultOf } from "../wire/fault.ts";
import type { Fault } from "../wire/messages.ts";
import type { Transfer, TransferPhase, TransferStatus } from "./transfer.ts";

/** Where a transfer stood at a moment, as plain data that holds on to nothing. */
export interface TransferSnapshot extends TransferProgress {
  /** The transfer's id; the two directions of one process may have the same. */
  readonly id: string;
  /** `model/partition/tensor`, each name percent-encoded. */
  readonly address: string;
  readonly direction: "in" | "out";
  /** What the other end calls itself, where it is connected. */
  readonly remote: string | undefined;
  readonly status: TransferStatus;
  readonly phase: TransferPhase;
  readonly priority: number;
  readonly dtype: string | undefined;
  readonly shape: readonly number[] | undefined;
  /** Bytes before compression over bytes on the wire; `undefined` before anything moved. */
  readonly compressionRatio: number | undefined;
  /** What the last attempt that failed has failed with, in words that name no files of this machine. */
  readonly lastError: Fault | undefined;
}

/**
 * Where a transfer stands now.
 *
 * @param remote What the other end calls itself.
 *
 * @example
 * ```ts
 * import { MemoryStore, snapshotOf, TensorPeer } from "headrace";
 * import { connectionPair } from "headrace/memory";
 *
 * const address = { model: "m", partition: "default", tensor: "w" };
 * const store = new MemoryStore();
 * store.set(address, new Float32Array([1, 2, 3]));
 * const [here, there] = connectionPair();
 * await using server = new TensorPeer(there, { store, accepted: true });
 * await using client = new TensorPeer(here);
 *
 * const transfer = client.requestTensor(address, { into: "memory" });
 * await transfer.done;
 * const { status, bytes, compressionRatio } = snapshotOf(transfer);
 * console.log(status, bytes, compressionRatio); // complete 12 1
 * ```
 */
export function snapshotOf(transfer: Transfer, remote?: string): TransferSnapshot {
  const { id, direction, status, phase, priority, descriptor, progress, lastError } = transfer;
  return {
    id,
    address: formatAddress(transfer.address),
    direction,
    remote,
    status,
    phase,
    priority,
    dtype: descriptor?.dtype,
    shape: descriptor?.shape,
    ...progress,
    bytesPerSecond: Math.round(progress.bytesPerSecond),
    etaMs: progress.etaMs === undefined ? undefined : Math.ceil(progress.etaMs),
    compressionRatio: progress.wireBytes > 0 ? progress.rawBytes / progress.wireBytes : undefined,
    lastError: lastError === undefined ? undefined : faultOf(lastError),
  };
}
