// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import { shareNextRun } from "../deferred.ts";
import { FormatError, IntegrityError, LimitError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { HEADER_TENSOR } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";
import type { ByteFile, ByteFiles } from "./byte_file.ts";
import { headerByteLength, parseHeader, type SafetensorsEntry } from "./safetensors/header.ts";

const LENGTH_BYTES = 8;

/** How long a descriptor stays open for the next tensor, so that a run of small ones opens it once. */
export const IDLE_FILE_MS = 200;

/** How a {@linkcode FileSnapshot} reads. */
export interface SnapshotContext {
  readonly files: ByteFiles;
  readonly limits: Partial<Limits>;
  /** Times how long a file that nobody reads stays open. */
  readonly clock: Clock;
}

/** An error of the format knows the tensor; the file it was met in is known here. */
function inFile(path: string, error: unknown): unknown {
  const details = { cause: error } as const;
  if (error instanceof FormatError) {
    const { byteOffset } = error;
    return new FormatError(`${path}: ${error.message}`, {
      ...details,
      ...(byteOffset === undefined ? {} : { byteOffset }),
    });
  }
  if (error instanceof LimitError) return new LimitError(`${path}: ${error.message}`, details);
  return error;
}

function changed(path: string): IntegrityError {
  return new IntegrityError("source", `${path} changed while it was read`);
}

/**
 * One version of one file, and the tensors that lie in it. All that are open share one descriptor,
 * which is opened by the first read and closed a moment after the last tensor. The file is never
 * believed to be the same: a descriptor that is not of this version is refused.
 */
export class FileSnapshot {
  readonly path: string;
  readonly version: SourceVersion;
  /** In the order of the file. */
  readonly tensors: readonly SafetensorsEntry[];
  #byName: ReadonlyMap<string, SafetensorsEntry> | undefined;
  #file: Promise<ByteFile> | undefined;
  #users = 0;
  readonly #files: ByteFiles;
  readonly #clock: Clock;
  #cancelClosing: (() => void) | undefined;

  private constructor(
    path: string,
    version: SourceVersion,
    tensors: readonly SafetensorsEntry[],
    { files, clock }: SnapshotContext,
  ) {
    this.#files = files;
    this.#clock = clock;
    this.path = path;
    this.version = version;
    this.tensors = tensors;
  }

  /**
   * Reads the header of a safetensors file. Its raw bytes come first among the tensors.
   *
   * @throws {FormatError | LimitError} naming file and tensor, when the file is malformed.
   * @throws {StorageError} when it cannot be read; {@linkcode IntegrityError} when it changes meanwhile.
   */
  static async ofSafetensors(path: string, context: SnapshotContext): Promise<FileSnapshot> {
    const { files, limits } = context;
    const file = await files.open(path);
    try {
      const version = await file.version();
      const start = new Uint8Array(Math.min(LENGTH_BYTES, file.byteLength));
      await file.read(0, start);
      const raw = new Uint8Array(headerByteLength(start, file.byteLength, { limits }));
      await file.read(0, raw);
      const { tensors } = parseHeader(raw, file.byteLength, { limits });
      if (!equalBytes(version, await file.version())) throw changed(path);
      const header = wholeU8(HEADER_TENSOR, raw.byteLength);
      return new FileSnapshot(path, version, [header, ...tensors], context);
    } catch (error) {
      throw inFile(path, error);
    } finally {
      await file.close();
    }
  }

  /** A side file: one tensor of bytes, named as the file is. */
  static async ofSideFile(
    path: string,
    name: string,
    context: SnapshotContext,
  ): Promise<FileSnapshot> {
    const { version, byteLength } = await context.files.stat(path);
    return new FileSnapshot(path, version, [wholeU8(name, byteLength)], context);
  }

  /** The tensor of this name, or `undefined` when the file has none. */
  open(name: string): TensorSource | undefined {
    this.#byName ??= new Map(this.tensors.map((tensor) => [tensor.name, tensor]));
    const entry = this.#byName.get(name);
    if (entry === undefined) return undefined;
    return new FileTensorSource(entry, {
      acquire: () => this.#acquire(),
      release: () => this.#release(),
      version: () => this.currentVersion(),
    });
  }

  /** What the file's version is now; `version` while it has not changed. */
  async currentVersion(): Promise<SourceVersion> {
    if (this.#file) return (await this.#file).version();
    return this.#stat();
  }

  readonly #stat: () => Promise<SourceVersion> = shareNextRun(
    async () => (await this.#files.stat(this.path)).version,
  );

  #acquire(): Promise<ByteFile> {
    this.#users++;
    this.#cancelClosing?.();
    if (this.#file) return this.#file;
    const opening = this.#openFile();
    this.#file = opening;
    // The next tensor tries anew; whoever asked for this one hears of the failure.
    opening.catch(() => {
      if (this.#file === opening) this.#file = undefined;
    });
    return opening;
  }

  async #openFile(): Promise<ByteFile> {
    const file = await this.#files.open(this.path);
    const version = await file.version();
    if (equalBytes(this.version, version)) return file;
    await file.close();
    throw changed(this.path);
  }

  #release(): void {
    this.#users--;
    if (this.#users > 0) return;
    this.#cancelClosing = this.#clock.after(IDLE_FILE_MS, () => {
      const file = this.#file;
      this.#file = undefined;
      // Nobody waits for it any more, and a file only read from has nothing to lose.
      file?.then((file) => file.close()).catch(() => {});
    });
  }
}

const wholeU8 = (name: string, byteLength: number): SafetensorsEntry => ({
  name,
  descriptor: { dtype: "U8", shape: [byteLength], byteLength },
  fileOffset: 0,
});

interface SharedFile {
  acquire(): Promise<ByteFile>;
  release(): void;
  version(): Promise<SourceVersion>;
}

/** A run of a file's bytes. */
class FileTensorSource implements TensorSource {
  readonly descriptor: SafetensorsEntry["descriptor"];
  readonly #fileOffset: number;
  readonly #shared: SharedFile;
  #file: Promise<ByteFile> | undefined;
  #closed = false;

  constructor({ descriptor, fileOffset }: SafetensorsEntry, shared: SharedFile) {
    this.descriptor = descriptor;
    this.#fileOffset = fileOffset;
    this.#shared = shared;
  }

  version(): Promise<SourceVersion> {
    return this.#shared.version();
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    const { byteLength } = this.descriptor;
    if (this.#closed) throw new TypeError("The tensor was closed and cannot be read");
    if (!(byteOffset >= 0 && byteOffset + into.byteLength <= byteLength)) {
      throw new RangeError(
        `Cannot read ${into.byteLength} bytes from byte ${byteOffset}: the tensor has ${byteLength}`,
      );
    }
    this.#file ??= this.#shared.acquire();
    const file = await this.#file;
    await file.read(this.#fileOffset + byteOffset, into);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#file) this.#shared.release();
  }
}
