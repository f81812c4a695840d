// This module runs in every runtime.
import { StorageError } from "../errors.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { FinishedFile, OutputKind } from "./checkpoint_store.ts";
import { foldFileName, safeFileName } from "./file_name.ts";
import type { LedgerTensor, Place } from "./ledger.ts";
import { type StagedShare, StagedSink } from "./staged_sink.ts";

/** What is known of an output, beside what its sinks share. */
export interface OutputTraits {
  readonly kind: OutputKind;
  /** Whether file names that differ in case alone are one where the output goes. */
  readonly ignoresCase: boolean;
}

/**
 * The sinks of one output: hands out one for each run of bytes, and at the end says whether the
 * files are covered by what they took.
 */
export class OutputSinks {
  readonly #share: StagedShare;
  readonly #kind: OutputKind;
  readonly #sinks = new Set<StagedSink>();
  /** File names by what the file system takes them for, where it ignores case. */
  readonly #foldedNames: Map<string, string> | undefined;

  constructor(share: Omit<StagedShare, "onRelease">, { kind, ignoresCase }: OutputTraits) {
    this.#share = { ...share, onRelease: (released) => void this.#sinks.delete(released) };
    this.#kind = kind;
    this.#foldedNames = ignoresCase ? new Map() : undefined;
  }

  /** The files of which something is known. */
  names(): string[] {
    return [...new Set(Array.from(this.#share.ledger.tensors(), (tensor) => tensor.fileName))];
  }

  /** As `Checkpoint.sink`. */
  open(
    fileName: string,
    fileOffset: number,
    { model, partition, tensor }: TensorAddress,
    { dtype, shape, byteLength }: TensorDescriptor,
  ): StagedSink {
    if (!(fileOffset >= 0) || !Number.isSafeInteger(fileOffset + byteLength)) {
      throw new RangeError(`A tensor of ${byteLength} bytes cannot lie at offset ${fileOffset}`);
    }
    this.#checkName(fileName);
    const tensorKey = JSON.stringify([model, partition, tensor, dtype, shape]);
    const place: Place = { fileName, fileOffset, byteLength, tensorKey };
    for (const other of this.#sinks) {
      if (!overlap(other.place, place)) continue;
      throw new StorageError(
        `Cannot write bytes ${fileOffset} to ${fileOffset + byteLength} of ${fileName}: another transfer is writing there`,
      );
    }
    const sink = new StagedSink(this.#share, place);
    this.#sinks.add(sink);
    return sink;
  }

  /** @throws {TypeError} while a sink is not released, or for files that are not this output's. */
  checkFiles(files: readonly FinishedFile[]): void {
    if (this.#sinks.size > 0) {
      throw new TypeError(`finish() was called with ${this.#sinks.size} sinks not released`);
    }
    if (this.#kind === "file" && files.length !== 1) {
      throw new TypeError(`An output of one file was finished with ${files.length}`);
    }
    const names = new Set(files.map((file) => file.fileName));
    if (names.size !== files.length) throw new TypeError("finish() was given a file twice");
    for (const tensor of this.#share.ledger.tensors()) {
      if (!tensor.current || names.has(tensor.fileName)) continue;
      throw new TypeError(`finish() was not given ${tensor.fileName}, which was written to`);
    }
  }

  /** @throws {StorageError} unless all of the file was verified since the output was opened. */
  checkCovered({ fileName, byteLength }: FinishedFile): void {
    const gap = uncovered(this.#share.ledger.ofFile(fileName), byteLength);
    if (gap === undefined) return;
    throw new StorageError(
      `Cannot finish ${fileName}: ${byteLength} bytes are wanted, but it is not verified as that from byte ${gap} on`,
      { byteOffset: gap },
    );
  }

  /** Waits for what is under way and lets every sink go. */
  async release(): Promise<void> {
    await Promise.all(Array.from(this.#sinks, (sink) => sink.release()));
  }

  #checkName(fileName: string): void {
    const safe = safeFileName(fileName);
    if (this.#foldedNames === undefined) return;
    const folded = foldFileName(safe);
    const other = this.#foldedNames.get(folded);
    if (other === undefined) this.#foldedNames.set(folded, fileName);
    else if (other !== fileName) {
      throw new StorageError(
        `Cannot write ${fileName} beside ${other}: this file system takes the names for one; choose another output`,
      );
    }
  }
}

const isSamePlace = (a: Place, b: Place) =>
  a.fileOffset === b.fileOffset && a.byteLength === b.byteLength && a.tensorKey === b.tensorKey;

function overlap(a: Place, b: Place): boolean {
  if (a.fileName !== b.fileName) return false;
  if (isSamePlace(a, b)) return true;
  if (a.byteLength === 0 || b.byteLength === 0) return false;
  return a.fileOffset < b.fileOffset + b.byteLength && b.fileOffset < a.fileOffset + a.byteLength;
}

/** The first byte that is not as verified as it must be, or `undefined` when the file is whole. */
function uncovered(claims: readonly LedgerTensor[], byteLength: number): number | undefined {
  let at = 0;
  for (const claim of claims) {
    if (claim.fileOffset >= byteLength && !claim.current) continue; // an older, longer version's
    if (claim.fileOffset !== at || !claim.current || !claim.committed) return at;
    at += claim.byteLength;
  }
  return at === byteLength ? undefined : Math.min(at, byteLength);
}
