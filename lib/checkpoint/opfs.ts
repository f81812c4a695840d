/**
 * Checkpoints in the files that a browser gives a site to itself: a page that was closed or crashed
 * goes on with what it had.
 *
 * @module headrace/checkpoint/opfs
 */
export { OpfsCheckpointStore, type OpfsCheckpointStoreOptions } from "./opfs_checkpoint_store.ts";
