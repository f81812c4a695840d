/**
 * Checkpoints on the local disk of Node, Deno and Bun: files, with a journal beside them.
 *
 * @module
 */
export { StagedOutput, type StagedOutputOptions } from "./staged_output.ts";
