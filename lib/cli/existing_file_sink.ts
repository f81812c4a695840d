import { StorageError } from "../errors.ts";
import type { ByteFile } from "../formats/byte_file.ts";
import { sha256 } from "../platform/sha256.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../tensor/leaf.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";

/** What a finished file is when it turns out not to be what the peer has. */
export class FileDiffersError extends StorageError {
  override readonly name: string = "FileDiffersError";
}

/**
 * Compares a range of a finished file with a tensor, leaf by leaf, and writes nothing: a transfer
 * into it completes when both are the same and fails with a {@linkcode FileDiffersError} otherwise.
 */
export class ExistingFileSink implements TensorSink {
  readonly #file: ByteFile;
  readonly #fileOffset: number;
  readonly #byteLength: number;
  readonly #path: string;

  constructor(file: ByteFile, path: string, fileOffset: number, byteLength: number) {
    this.#file = file;
    this.#path = path;
    this.#fileOffset = fileOffset;
    this.#byteLength = byteLength;
  }

  async held(): Promise<Held | undefined> {
    const leaves: LeafDigest[] = [];
    for (let index = 0; index < leafCount(this.#byteLength); index++) {
      const bytes = new Uint8Array(leafLength(index, this.#byteLength));
      await this.#file.read(this.#fileOffset + index * LEAF_BYTES, bytes);
      leaves.push({ index, digest: await sha256([bytes]) });
    }
    // No version: whatever the peer has, its digests are asked for.
    return leaves.length === 0 ? undefined : { version: new Uint8Array(), leaves };
  }

  async begin(_version: Uint8Array, keep: readonly LeafDigest[]): Promise<void> {
    if (keep.length < leafCount(this.#byteLength)) {
      throw new FileDiffersError(`${this.#path} differs from what the peer has`);
    }
  }

  write(): Promise<void> {
    return Promise.reject(new FileDiffersError(`${this.#path} differs from what the peer has`));
  }

  async commit(): Promise<void> {}

  async release(): Promise<void> {}
}
