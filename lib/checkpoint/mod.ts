// This module runs in every runtime.
/**
 * Where a transfer's verified leaves are kept, so that an interrupted one resumes: the contract of
 * a store of checkpoints, and one in memory. Nothing here touches a file system.
 *
 * @module headrace/checkpoint
 */
export { type CheckpointLimits, DEFAULT_CHECKPOINT_LIMITS } from "../checkpoint_limits.ts";
export { MemorySink, type MemorySinkOptions } from "../session/memory_sink.ts";
export type {
  Checkpoint,
  CheckpointOptions,
  CheckpointStore,
  FinishedFile,
  FinishOptions,
  OutputKind,
  SweptCheckpoint,
} from "./checkpoint_store.ts";
export { safeFileName } from "./file_name.ts";
export {
  MemoryCheckpointStore,
  type MemoryCheckpointStoreOptions,
} from "./memory_checkpoint_store.ts";
