/**
 * Checkpoints on the local disk of Node, Deno and Bun: files, with a journal beside them.
 *
 * @module headrace/checkpoint/node
 */
export { FileCheckpointStore, type FileCheckpointStoreOptions } from "./file_checkpoint_store.ts";
export { StagedOutput, type StagedOutputOptions } from "./staged_output.ts";
export { type SweepOptions, sweepCheckpoints } from "./sweep_checkpoints.ts";
