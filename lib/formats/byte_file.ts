// This module runs in every runtime.
import type { SourceVersion } from "../tensor/source.ts";

/** Bytes that can be read from any place, any number of times at once: a file, or what acts like one. */
export interface ByteFile {
  /** Bytes of the whole file when it was opened. */
  readonly byteLength: number;
  /** What its version is now; differs once the file changed or another took its place. */
  version(): Promise<SourceVersion>;
  /**
   * Fills `into` with the bytes from `byteOffset` on, without a copy in between.
   * @throws {IntegrityError} at source, when the file has fewer bytes by now.
   */
  read(byteOffset: number, into: Uint8Array): Promise<void>;
  /** Lets go once what is under way is over. */
  close(): Promise<void>;
}

/** Files by their paths, on a disk or in what acts like one. */
export interface ByteFiles {
  /** @throws {StorageError | NotFoundError} when it is missing or may not be read. */
  open(path: string): Promise<ByteFile>;
  /** Its version, the same that opening it gives, and its size. @throws as `open`. */
  stat(path: string): Promise<{ readonly version: SourceVersion; readonly byteLength: number }>;
}
