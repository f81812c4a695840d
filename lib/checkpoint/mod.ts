/**
 * Where a transfer's verified leaves are kept: in memory, or in files with a journal beside them,
 * so that an interrupted transfer resumes.
 *
 * @module
 */

export { MemorySink, type MemorySinkOptions } from "../session/memory_sink.ts";
export { safeFileName } from "./file_name.ts";
export {
  type FinishedFile,
  type FinishOptions,
  StagedOutput,
  type StagedOutputOptions,
} from "./staged_output.ts";
export type { OutputKind } from "./staging.ts";
