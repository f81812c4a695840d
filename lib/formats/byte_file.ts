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
