// This module runs in every runtime.
import { StorageError } from "../errors.ts";
import type { Sha256 } from "../platform/sha256.ts";
import type { TensorAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type {
  Checkpoint,
  CheckpointOptions,
  FinishedFile,
  FinishOptions,
} from "./checkpoint_store.ts";
import { DURABLE } from "./journal.ts";
import type { MemoryOutput } from "./memory_output.ts";
import type { MemoryRoom } from "./memory_room.ts";
import { OutputSinks } from "./output_sinks.ts";
import { refuseHeld } from "./resume.ts";

/** What a {@linkcode MemoryCheckpoint} shares with its store. */
export interface MemoryShare {
  readonly room: MemoryRoom;
  readonly sha256: Sha256;
  readonly nowMs: () => number;
  /** Told once, when the checkpoint is closed. */
  readonly onClose: () => void;
}

/** An output of a `MemoryCheckpointStore` while somebody has it open. */
export class MemoryCheckpoint implements Checkpoint {
  readonly recovered = false;
  readonly #name: string;
  readonly #output: MemoryOutput;
  readonly #share: MemoryShare;
  readonly #sinks: OutputSinks;
  #isClosed = false;

  /**
   * @param output Nobody else may have it open.
   * @throws {StorageError} when what something else has left is to be kept.
   */
  constructor(name: string, output: MemoryOutput, options: CheckpointOptions, share: MemoryShare) {
    const { key, kind, keepsOther = false } = options;
    if (output.key !== key) {
      if (keepsOther) refuseHeld(name, output.key, output.ledger);
      output.clear();
    }
    output.key = key;
    output.isOpen = true;
    output.lastUsedMs = share.nowMs();
    this.#name = name;
    this.#output = output;
    this.#share = share;
    const ledger = output.reopenLedger();
    this.#sinks = new OutputSinks(
      {
        pace: "memory",
        ledger,
        boot: DURABLE, // as long as there is a record, its bytes are beside it
        trusts: () => true,
        sha256: share.sha256,
        record: async (records) => {
          for (const record of records) ledger.apply(record);
          output.lastUsedMs = share.nowMs();
        },
        useFile: (_attempted, fileName, work) => work(output.staged(fileName)),
      },
      { kind, ignoresCase: false },
    );
  }

  names(): string[] {
    return this.#sinks.names();
  }

  sink(
    fileName: string,
    fileOffset: number,
    address: TensorAddress,
    descriptor: TensorDescriptor,
  ): TensorSink {
    this.#checkOpen();
    return this.#sinks.open(fileName, fileOffset, address, descriptor);
  }

  async read(fileName: string, fileOffset: number, into: Uint8Array): Promise<boolean> {
    this.#checkOpen();
    return this.names().includes(fileName) && this.#output.staged(fileName).read(into, fileOffset);
  }

  async finish(files: readonly FinishedFile[], options: FinishOptions = {}): Promise<void> {
    this.#checkOpen();
    this.#sinks.checkFiles(files);
    for (const file of files) this.#sinks.checkCovered(file);
    const { room } = this.#share;
    const byteTotal = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
    room.take(byteTotal);
    const whole = new Map<string, Uint8Array>();
    try {
      for (const { fileName, byteLength } of files) {
        const bytes = new Uint8Array(byteLength);
        await this.#output.staged(fileName).read(bytes, 0);
        if (options.overwrite !== true) this.#refuseOther(fileName, bytes);
        whole.set(fileName, bytes);
      }
      this.#checkOpen();
    } catch (error) {
      room.give(byteTotal);
      throw error;
    }
    for (const [fileName, bytes] of whole) this.#output.finish(fileName, bytes);
    this.#output.clear();
    await this.#close();
  }

  async release(): Promise<void> {
    await this.#close();
  }

  async discard(): Promise<void> {
    this.#checkOpen();
    await this.#sinks.release();
    this.#output.clear();
    await this.#close();
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#sinks.release();
    this.#output.isOpen = false;
    this.#share.onClose();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StorageError(`Cannot go on with ${this.#name}: it was closed`);
  }

  #refuseOther(fileName: string, bytes: Uint8Array): void {
    const there = this.#output.finished(fileName);
    if (there === undefined || equalBytes(there, bytes)) return;
    throw new StorageError(
      `Cannot write ${fileName} of ${this.#name}: something else is there already; ask for it to be overwritten`,
    );
  }
}
