// This module runs in every runtime.
import type { Compression } from "../codec/compression.ts";
import { deflate } from "../codec/deflate.ts";
import { encodeChunk } from "../codec/encode_chunk.ts";
import type { CompressionGovernor } from "../codec/governor.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import { OrderedMapStream } from "./ordered_map_stream.ts";

/** Options of a {@linkcode CompressorStream}. */
export interface CompressorOptions {
  /** Chunks of fewer bytes stay as they are; default 4096. */
  readonly thresholdBytes?: number;
  /** Default {@linkcode deflate}. */
  readonly codec?: Compression;
  /** Says whether compression pays on the link; without one it is taken to. */
  readonly governor?: CompressionGovernor;
  /** How many chunks may be compressed at once; default 2. */
  readonly concurrency?: number;
}

/**
 * Compresses the chunks for which it is worth it. Those below the threshold, those that look like
 * noise and those that would not get smaller stay as they are, and so do those that are compressed
 * already.
 *
 * @throws {RangeError} for a threshold that is not a whole number from 0.
 *
 * @example
 * ```ts
 * import { ChunkerStream, CompressorStream } from "headrace";
 *
 * const chunks = new Blob([new Uint8Array(1_000_000)])
 *   .stream()
 *   .pipeThrough(new ChunkerStream())
 *   .pipeThrough(new CompressorStream({ thresholdBytes: 4096 }));
 * for await (const chunk of chunks) console.log(chunk.codec, chunk.rawBytes); // deflate 1000000
 * ```
 */
export class CompressorStream extends OrderedMapStream<TensorChunk, TensorChunk> {
  constructor(options: CompressorOptions = {}) {
    const { thresholdBytes = 4096, codec = deflate, governor, concurrency = 2 } = options;
    if (!Number.isSafeInteger(thresholdBytes) || thresholdBytes < 0) {
      throw new RangeError(`thresholdBytes must be a whole number from 0, found ${thresholdBytes}`);
    }
    super(
      (chunk) => {
        if (chunk.codec !== "none") return [chunk];
        const encoded = encodeChunk(chunk.bytes, { codec, thresholdBytes, governor });
        return [
          encoded instanceof Promise
            ? encoded.then((done) => ({ ...chunk, ...done }))
            : { ...chunk, ...encoded },
        ];
      },
      { concurrency },
    );
  }
}
