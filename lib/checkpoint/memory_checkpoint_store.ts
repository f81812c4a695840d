// This module runs in every runtime.
import type { CheckpointLimits } from "../checkpoint_limits.ts";
import { StorageError } from "../errors.ts";
import { sha256 as platformSha256, type Sha256 } from "../platform/sha256.ts";
import type {
  Checkpoint,
  CheckpointOptions,
  CheckpointStore,
  SweptCheckpoint,
} from "./checkpoint_store.ts";
import { checkKey } from "./journal_header.ts";
import { MemoryCheckpoint } from "./memory_checkpoint.ts";
import { MemoryOutput } from "./memory_output.ts";
import { MemoryRoom } from "./memory_room.ts";
import { planSweep } from "./sweep_plan.ts";

/** How a {@linkcode MemoryCheckpointStore} is made. */
export interface MemoryCheckpointStoreOptions {
  /** What all outputs together may take, finished or not. Default: 2 GiB. */
  readonly maxBytes?: number;
  /** The time in milliseconds since 1970. Default: `Date.now`. */
  readonly nowMs?: () => number;
  /** Default: the runtime's fastest. */
  readonly sha256?: Sha256;
}

const DEFAULT_MAX_BYTES = 2 * 1024 ** 3;

/**
 * Keeps outputs in memory, in any runtime: what was verified outlives its transfer and its
 * connection, though not its process.
 *
 * @example
 * ```ts
 * import { createDescriptor } from "headrace";
 * import { MemoryCheckpointStore } from "headrace/checkpoint";
 *
 * const store = new MemoryCheckpointStore();
 * const checkpoint = await store.open("gpt2", { kind: "folder", key: "gpt2" });
 * const address = { model: "gpt2", partition: "default", tensor: "wte" };
 * const sink = checkpoint.sink("weights.bin", 0, address, createDescriptor("U8", [3]));
 * await sink.begin(new Uint8Array(), []);
 * await sink.write({ index: 0, digest: new Uint8Array(32) }, Uint8Array.of(1, 2, 3));
 * await sink.commit(undefined);
 * await sink.release();
 * await checkpoint.finish([{ fileName: "weights.bin", byteLength: 3 }]);
 * store.file("gpt2", "weights.bin"); // Uint8Array [1, 2, 3]
 * ```
 */
export class MemoryCheckpointStore implements CheckpointStore {
  readonly #outputs = new Map<string, MemoryOutput>();
  readonly #room: MemoryRoom;
  readonly #nowMs: () => number;
  readonly #sha256: Sha256;

  constructor(options: MemoryCheckpointStoreOptions = {}) {
    const { maxBytes = DEFAULT_MAX_BYTES, nowMs = Date.now, sha256 = platformSha256 } = options;
    this.#room = new MemoryRoom(maxBytes);
    this.#nowMs = nowMs;
    this.#sha256 = sha256;
  }

  async open(output: string, options: CheckpointOptions): Promise<Checkpoint> {
    checkKey(options.key);
    const found = this.#outputs.get(output) ?? new MemoryOutput(this.#room);
    if (found.isOpen) {
      throw new StorageError(`Cannot open ${output}: somebody is writing to it; wait for them`);
    }
    this.#outputs.set(output, found);
    return new MemoryCheckpoint(output, found, options, {
      room: this.#room,
      sha256: this.#sha256,
      nowMs: this.#nowMs,
      onClose: () => this.#dropEmpty(output),
    });
  }

  /** A finished file of an output; `undefined` while it is not. */
  file(output: string, fileName: string): Uint8Array | undefined {
    return this.#outputs.get(output)?.finished(fileName);
  }

  /**
   * Forgets an output, what is finished of it too.
   *
   * @throws {StorageError} while somebody has it open.
   */
  delete(output: string): void {
    const found = this.#outputs.get(output);
    if (found?.isOpen) {
      throw new StorageError(`Cannot delete ${output}: somebody is writing to it`);
    }
    found?.clearAll();
    this.#outputs.delete(output);
  }

  async sweep(limits: Partial<CheckpointLimits> = {}): Promise<SweptCheckpoint[]> {
    const abandoned = [...this.#outputs]
      .filter(([, { isOpen, isStaged }]) => !isOpen && isStaged)
      .map(([output, found]) => {
        return { output, found, bytes: found.stagedBytes, lastUsedMs: found.lastUsedMs };
      });
    return planSweep(abandoned, limits, this.#nowMs()).map(({ checkpoint, over }) => {
      const { output, found, bytes, lastUsedMs } = checkpoint;
      found.clear();
      this.#dropEmpty(output);
      return { output, bytes, lastUsedMs, over };
    });
  }

  #dropEmpty(output: string): void {
    const found = this.#outputs.get(output);
    if (found && !found.isStaged && !found.isFinished) this.#outputs.delete(output);
  }
}
