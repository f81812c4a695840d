import { resolve } from "node:path";
import type { CheckpointLimits } from "../checkpoint_limits.ts";
import type { Sha256 } from "../platform/sha256.ts";
import type {
  Checkpoint,
  CheckpointOptions,
  CheckpointStore,
  SweptCheckpoint,
} from "./checkpoint_store.ts";
import { StagedOutput } from "./staged_output.ts";
import { sweepCheckpoints } from "./sweep_checkpoints.ts";

/** How a {@linkcode FileCheckpointStore} is made. */
export interface FileCheckpointStoreOptions {
  /** The time in milliseconds since 1970, as the file system tells it. Default: `Date.now`. */
  readonly nowMs?: () => number;
  /** Checks what a restart of the machine put in doubt. Default: the runtime's fastest. */
  readonly sha256?: Sha256;
}

/**
 * Keeps outputs in the files and folders of a folder, each put together where nobody looks for it,
 * with a journal beside it: what was verified outlives its process.
 *
 * @example
 * ```ts
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { FileCheckpointStore } from "headrace/checkpoint/node";
 *
 * const store = new FileCheckpointStore(await mkdtemp(join(tmpdir(), "example-")));
 * const checkpoint = await store.open("gpt2", { kind: "folder", key: "gpt2/*" });
 * await checkpoint.finish([]);
 * await store.sweep({ maxAgeMs: 24 * 60 * 60 * 1000 }); // []
 * ```
 */
export class FileCheckpointStore implements CheckpointStore {
  readonly #folder: string;
  readonly #options: FileCheckpointStoreOptions;

  constructor(folder: string, options: FileCheckpointStoreOptions = {}) {
    this.#folder = folder;
    this.#options = options;
  }

  /** As `StagedOutput.open`; `output` is a path, from the store's folder on. */
  open(output: string, options: CheckpointOptions): Promise<Checkpoint> {
    const { sha256 } = this.#options;
    return StagedOutput.open(resolve(this.#folder, output), {
      ...options,
      ...(sha256 && { sha256 }),
    });
  }

  /** As {@linkcode sweepCheckpoints}. */
  sweep(limits: Partial<CheckpointLimits> = {}): Promise<SweptCheckpoint[]> {
    const { nowMs } = this.#options;
    return sweepCheckpoints(this.#folder, { ...limits, ...(nowMs && { nowMs }) });
  }
}
