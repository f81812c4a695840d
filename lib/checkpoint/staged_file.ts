// This module runs in every runtime.

/** A file of an output while it is put together, wherever that is. */
export interface StagedFile {
  /** Writes all of the bytes; they may be reused once the promise is kept. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Fills `into`; false when the file ends before that. */
  read(into: Uint8Array, position: number): Promise<boolean>;
  /** Puts what was written where a power cut leaves it. */
  sync(): Promise<void>;
}

/** A file that somebody has open. */
export interface OpenFile extends StagedFile {
  byteLength(): Promise<number>;
  /** Cuts off what is behind this length. */
  truncate(byteLength: number): Promise<void>;
  close(): Promise<void>;
}
