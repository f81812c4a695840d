// This module runs in every runtime.
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";

/**
 * A tensor that is in memory already. Nothing is copied; the bytes must not change while it is sent.
 *
 * @example
 * ```ts
 * import { ByteSource } from "headrace";
 *
 * const weights = new Float32Array([1, 2, 3, 4]);
 * const source = new ByteSource(new Uint8Array(weights.buffer), { dtype: "F32", shape: [2, 2] });
 * console.log(source.descriptor.byteLength); // 16
 * ```
 */
export class ByteSource implements TensorSource {
  readonly descriptor: TensorDescriptor;
  readonly #bytes: Uint8Array;
  readonly #version: SourceVersion;

  /**
   * @param version What tells these bytes from others under the same address; random where left out.
   * @throws {TypeError | RangeError} when dtype, shape and the bytes' length do not agree.
   */
  constructor(
    bytes: Uint8Array,
    tensor: Pick<TensorDescriptor, "dtype" | "shape">,
    version: SourceVersion = crypto.getRandomValues(new Uint8Array(16)),
  ) {
    this.descriptor = createDescriptor(tensor.dtype, tensor.shape, bytes.byteLength);
    this.#bytes = bytes;
    this.#version = version;
  }

  async version(): Promise<SourceVersion> {
    return this.#version;
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    into.set(this.view(byteOffset, into.byteLength));
  }

  view(byteOffset: number, byteLength: number): Uint8Array {
    return this.#bytes.subarray(byteOffset, byteOffset + byteLength);
  }
}
