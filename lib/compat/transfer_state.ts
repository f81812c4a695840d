// This module runs in every runtime.
import type { Transfer, TransferStatus } from "../session/transfer.ts";
import { chunkCount } from "./chunk_count.ts";
import { namesOf } from "./message.ts";

/** Where a transfer stands, in the older protocol's words. */
export interface TransferState {
  readonly streamID: string;
  readonly modelID: string;
  readonly partitionID: string;
  readonly tensorID: string;
  readonly direction: "in" | "out";
  /** Bytes of the tensor; 0 until that is known. */
  readonly totalSize: number;
  readonly totalChunks: number;
  /** Bytes that the receiver has verified. */
  readonly bytesTransferred: number;
  readonly chunksTransferred: number;
  readonly priority: number;
  readonly status: TransferStatus;
}

/** The state of a transfer now. */
export function stateOf(streamID: string, transfer: Transfer, chunkBytes: number): TransferState {
  const { address, direction, priority, status, descriptor } = transfer;
  const { bytes, chunks } = transfer.progress;
  const totalSize = descriptor?.byteLength ?? 0;
  return {
    streamID,
    ...namesOf(address),
    direction,
    totalSize,
    totalChunks: chunkCount(totalSize, chunkBytes),
    bytesTransferred: bytes,
    chunksTransferred: chunks,
    priority,
    status,
  };
}
