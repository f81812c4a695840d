// This module runs in every runtime.
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { SourceVersion, TensorSource } from "../tensor/source.ts";

/** One version of a tensor in memory. */
export interface StoredVersion {
  readonly descriptor: TensorDescriptor;
  readonly version: SourceVersion;
  readonly bytes: Uint8Array;
  /** Digests of its leaves, once somebody has hashed them; left out, a cache has them. */
  readonly leafDigests?: Map<number, Uint8Array> | undefined;
}

/** Reads one version of a tensor in memory, however often: what it is was checked when it came. */
export class StoredSource implements TensorSource {
  readonly #stored: StoredVersion;

  constructor(stored: StoredVersion) {
    this.#stored = stored;
  }

  get descriptor(): TensorDescriptor {
    return this.#stored.descriptor;
  }

  get leafDigests(): Map<number, Uint8Array> | undefined {
    return this.#stored.leafDigests;
  }

  async version(): Promise<SourceVersion> {
    return this.#stored.version;
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    into.set(this.view(byteOffset, into.byteLength));
  }

  view(byteOffset: number, byteLength: number): Uint8Array {
    return this.#stored.bytes.subarray(byteOffset, byteOffset + byteLength);
  }
}
