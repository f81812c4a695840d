// This module runs in every runtime.
import type { CheckpointLimits } from "../checkpoint_limits.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSink } from "../tensor/sink.ts";

/** One file, or a folder of files. */
export type OutputKind = "file" | "folder";

/** How a {@linkcode Checkpoint} is opened. */
export interface CheckpointOptions {
  readonly kind: OutputKind;
  /**
   * What is fetched, at most 4096 bytes: a checkpoint left by something else is cleared away. Made
   * of addresses, never of a URL: another server of the same goes on where the first one stopped.
   */
  readonly key: string;
  /**
   * Whether what something else has left is kept: it is then an error to open where verified leaves of that are.
   * Default: false.
   */
  readonly keepsOther?: boolean;
  /**
   * Whether verified leaves also survive a power cut, at the price of a sync for each, where there
   * is a disk. Default: false.
   */
  readonly durable?: boolean;
}

/** A file of the output, whole. */
export interface FinishedFile {
  readonly fileName: string;
  readonly byteLength: number;
}

/** How {@linkcode Checkpoint.finish} treats what is there already. */
export interface FinishOptions {
  /** Whether a file that differs may be replaced. Default: false. */
  readonly overwrite?: boolean;
}

/**
 * An output that is put together from tensors which arrive in any order and over several attempts.
 * Whoever opened it is the only one who writes to it, until `finish`, `release` or `discard`.
 */
export interface Checkpoint {
  /**
   * Whether an earlier `finish` that was cut short has just been completed: the output is there,
   * whole and verified, and this object holds nothing of it any more.
   */
  readonly recovered: boolean;
  /** The files of which something is here. */
  names(): string[];
  /**
   * Where one tensor, or any run of bytes that travels as one, goes. What it holds is of the same
   * place, address and descriptor, and names its version.
   *
   * @param fileOffset Where in the file it begins.
   * @throws {StorageError} when those bytes are being written by another sink.
   * @throws {TypeError | RangeError | LimitError} for a file name or an offset that cannot be.
   */
  sink(
    fileName: string,
    fileOffset: number,
    address: TensorAddress,
    descriptor: TensorDescriptor,
  ): TensorSink;
  /**
   * Reads bytes of a file while it is put together, as far as they are here: those of a tensor are
   * verified once it is committed, others may be anything.
   *
   * @returns `false`, with anything in `into`, when the file ends before that.
   */
  read(fileName: string, fileOffset: number, into: Uint8Array): Promise<boolean>;
  /**
   * Gives the files their final names, forgets everything else, and closes.
   *
   * Each file must be covered from its first byte to its last by tensors that were committed since
   * `open`. What an earlier version of a file left behind its end is cut off.
   *
   * @throws {StorageError} when a file is not covered, and when something else is in its place and
   *   `overwrite` is not given; the checkpoint is kept.
   * @throws {TypeError} while a sink is not released, or for files that are not this output's.
   */
  finish(files: readonly FinishedFile[], options?: FinishOptions): Promise<void>;
  /** Waits for what is under way and closes, keeping what is verified; again, does nothing. */
  release(): Promise<void>;
  /** Closes and forgets all that is not finished. */
  discard(): Promise<void>;
}

/** A checkpoint that was removed before its output was finished. */
export interface SweptCheckpoint {
  /** As it was opened, or where that was. */
  readonly output: string;
  /** What it took. */
  readonly bytes: number;
  /** When it was written to last, in milliseconds since 1970. */
  readonly lastUsedMs: number;
  /** Which of the limits it was over. */
  readonly over: "age" | "size";
}

/**
 * Where outputs are put together, so that a transfer that was interrupted goes on from what was
 * verified. Memory and files come with headrace; anything that keeps this contract takes their place.
 *
 * A checkpoint is found by its output; its tensors by place, address, descriptor and version. It
 * never vouches for a leaf that is not there to the byte, whenever its writer ends: what it cannot
 * believe it reads or forgets.
 */
export interface CheckpointStore {
  /**
   * Opens an output and what an earlier attempt left of it.
   *
   * @throws {StorageError} when somebody else has it open.
   * @throws {RangeError} for a key that is too long.
   */
  open(output: string, options: CheckpointOptions): Promise<Checkpoint>;
  /**
   * Removes checkpoints that nobody has open and that are over the limits, those unused for longest
   * first; tells which. What is finished stays.
   *
   * @param limits Default: `DEFAULT_CHECKPOINT_LIMITS`.
   */
  sweep(limits?: Partial<CheckpointLimits>): Promise<SweptCheckpoint[]>;
}
