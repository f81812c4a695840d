// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import { sha256 } from "../platform/sha256.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";

/**
 * A tensor in a `Blob` or a `File`, such as a page gets from a file input. It is read piece by piece,
 * and as often as it takes.
 *
 * @example
 * ```ts
 * import { BlobSource } from "headrace";
 *
 * const file = new File([new Float32Array([1, 2, 3, 4])], "weights.bin");
 * const source = new BlobSource(file, { dtype: "F32", shape: [2, 2] });
 * const row = new Uint8Array(8);
 * await source.read(8, row);
 * console.log(new Float32Array(row.buffer)); // Float32Array(2) [ 3, 4 ]
 * ```
 */
export class BlobSource implements TensorSource {
  readonly descriptor: TensorDescriptor;
  readonly #blob: Blob;
  readonly #version: SourceVersion | undefined;

  /**
   * @param version What tells these bytes from others under the same address. Left out, a `File`'s
   *   comes from its name, type, size and time of change, so that it is the same after a restart; a
   *   `Blob`'s is random.
   * @throws {TypeError | RangeError} when dtype, shape and the blob's size do not agree.
   */
  constructor(
    blob: Blob,
    tensor: Pick<TensorDescriptor, "dtype" | "shape">,
    version?: SourceVersion,
  ) {
    this.descriptor = createDescriptor(tensor.dtype, tensor.shape, blob.size);
    this.#blob = blob;
    this.#version =
      version ?? (isFile(blob) ? undefined : crypto.getRandomValues(new Uint8Array(16)));
  }

  /** What the source's version is now. */
  async version(): Promise<SourceVersion> {
    if (this.#version) return this.#version;
    const { name, type, size, lastModified } = this.#blob as File;
    return sha256([new TextEncoder().encode(JSON.stringify([name, type, size, lastModified]))]);
  }

  /**
   * Fills `into` with the bytes from `byteOffset` on.
   *
   * @throws {IntegrityError} at source, when the file behind the blob has changed or is gone.
   */
  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    into.set(await this.lend(byteOffset, into.byteLength));
  }

  /** As `read`, into memory of its own. @throws as {@linkcode BlobSource.read}. */
  async lend(byteOffset: number, byteLength: number): Promise<Uint8Array> {
    const end = byteOffset + byteLength;
    const wanted = `bytes ${byteOffset} to ${end} of a blob`;
    const details = { byteOffset, retryable: false };
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(await this.#blob.slice(byteOffset, end).arrayBuffer());
    } catch (cause) {
      throw new IntegrityError("source", `Cannot read ${wanted}`, { ...details, cause });
    }
    if (bytes.byteLength === byteLength) return bytes;
    const found = `found ${bytes.byteLength} bytes`;
    throw new IntegrityError("source", `Cannot read ${wanted}: ${found}`, details);
  }
}

function isFile(blob: Blob): blob is File {
  // Some runtimes give every blob a time of change, but only a file has a name.
  return typeof (blob as File).name === "string" && typeof (blob as File).lastModified === "number";
}
