// This module runs in every runtime.

/**
 * A way to make chunks smaller. It is a plain value: a new one is added by passing it to the stages
 * on both sides, which know it by its name alone.
 *
 * @example
 * ```ts
 * import { type Compression, CompressorStream } from "headrace";
 *
 * const inverted: Compression = {
 *   name: "example-inverted",
 *   compress: (bytes) => bytes.map((byte) => ~byte),
 *   decompress: (bytes) => bytes.map((byte) => ~byte),
 * };
 * new CompressorStream({ codec: inverted });
 * ```
 */
export interface Compression {
  /** What both sides call it; travels with every chunk. */
  readonly name: string;
  /** The bytes must not change until the result is there; the result may be longer than they are. */
  compress(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /**
   * Gives back exactly `rawBytes` bytes and never allocates for more.
   *
   * @throws {IntegrityError} in transit, or rejects with it: for damaged bytes, for bytes that hold
   * more or less than `rawBytes`, and for bytes followed by others that do not belong to them.
   */
  decompress(bytes: Uint8Array, rawBytes: number): Uint8Array | Promise<Uint8Array>;
}
