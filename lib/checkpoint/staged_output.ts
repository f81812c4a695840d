import type { Sha256 } from "../platform/sha256.ts";
import type { CheckpointOptions } from "./checkpoint_store.ts";
import { DiskPlace } from "./disk_place.ts";
import { checkKey } from "./journal_header.ts";
import { loadStaged, StagedCheckpoint } from "./staged_checkpoint.ts";

/** How a {@linkcode StagedOutput} is opened. */
export interface StagedOutputOptions extends CheckpointOptions {
  /** Checks what a restart of the machine put in doubt. Default: the runtime's fastest. */
  readonly sha256?: Sha256;
}

/**
 * Puts a file or a folder of files together where nobody looks for it, from tensors that arrive in
 * any order and from several attempts, and gives everything its final name when all is verified.
 *
 * Whenever the process ends, the next `open` finds what was verified. One process at a time has
 * an output open.
 *
 * @example
 * ```ts
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { createDescriptor } from "headrace";
 * import { StagedOutput } from "headrace/checkpoint/node";
 *
 * const folder = await mkdtemp(join(tmpdir(), "example-"));
 * const output = await StagedOutput.open(folder, { kind: "folder", key: "gpt2" });
 * const address = { model: "gpt2", partition: "default", tensor: "wte" };
 * const sink = output.sink("weights.bin", 0, address, createDescriptor("U8", [3]));
 * await sink.begin(new Uint8Array(), []);
 * await sink.write({ index: 0, digest: new Uint8Array(32) }, Uint8Array.of(1, 2, 3));
 * await sink.commit(undefined);
 * await sink.release();
 * await output.finish([{ fileName: "weights.bin", byteLength: 3 }]);
 * ```
 */
export class StagedOutput extends StagedCheckpoint {
  /**
   * Opens the output and what an earlier attempt left of it, completing a `finish` that was cut short.
   *
   * @throws {StorageError} when another process has it open, or the file system refuses.
   * @throws {RangeError} for a key that is too long.
   */
  static async open(outputPath: string, options: StagedOutputOptions): Promise<StagedOutput> {
    const { kind, key, durable = false } = options;
    checkKey(key);
    const place = await DiskPlace.lock(outputPath, kind, durable);
    return new StagedOutput(await loadStaged(place, options));
  }
}
