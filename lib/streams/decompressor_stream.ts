// This module runs in every runtime.
import type { Compression } from "../codec/compression.ts";
import { decodeChunk } from "../codec/decode_chunk.ts";
import { deflate } from "../codec/deflate.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import { OrderedMapStream } from "./ordered_map_stream.ts";

/** Options of a {@linkcode DecompressorStream}. */
export interface DecompressorOptions {
  /** What may come in, beside chunks that are not compressed; default `[deflate]`. */
  readonly codecs?: readonly Compression[];
  /** The most bytes that a chunk may come to; default 64 MiB. */
  readonly maxChunkBytes?: number;
  /** How many chunks may be decompressed at once; default 2. */
  readonly concurrency?: number;
}

/**
 * Undoes the compression of chunks.
 *
 * The stream errors with a `ProtocolError` for a codec that is not among `codecs`, with a
 * `LimitError` for a chunk that is declared larger than `maxChunkBytes` (nothing is allocated for
 * it), and with an `IntegrityError` in transit for damaged bytes.
 *
 * @example
 * ```ts
 * import { ChunkerStream, CompressorStream, DecompressorStream } from "headrace";
 *
 * const chunks = new Blob([new Uint8Array(1_000_000)])
 *   .stream()
 *   .pipeThrough(new ChunkerStream())
 *   .pipeThrough(new CompressorStream())
 *   .pipeThrough(new DecompressorStream());
 * for await (const chunk of chunks) console.log(chunk.codec, chunk.bytes.byteLength); // none 1000000
 * ```
 */
export class DecompressorStream extends OrderedMapStream<TensorChunk, TensorChunk> {
  constructor(options: DecompressorOptions = {}) {
    const { codecs = [deflate], concurrency = 2 } = options;
    const { maxChunkBytes = DEFAULT_LIMITS.maxChunkBytes } = options;
    super(
      (chunk) => {
        const { bytes, codec, rawBytes } = chunk;
        const raw = decodeChunk(bytes, codec, rawBytes, { codecs, maxChunkBytes });
        return [
          raw instanceof Promise
            ? raw.then((done) => ({ ...chunk, bytes: done, codec: "none" }))
            : { ...chunk, bytes: raw, codec: "none" },
        ];
      },
      { concurrency },
    );
  }
}
