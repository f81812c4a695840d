// This module runs in every runtime.
import { chunkEnd, type TensorChunk } from "../tensor/chunk.ts";
import { type ChunkerOptions, checkChunkerOptions, rawChunk } from "./chunk_cutter.ts";
import { ChunkerStream } from "./chunker_stream.ts";

/**
 * Cuts a tensor's bytes into chunks, as a {@linkcode ChunkerStream} does. A byte stream (one that
 * can be read with a buffer of one's own) is read straight into the chunks, so that no byte is
 * copied; any other is piped through a `ChunkerStream`.
 *
 * @throws {RangeError} for a chunk size or an offset that is out of range.
 * @throws {TypeError} when the source is locked.
 *
 * @example
 * ```ts
 * import { chunksFrom } from "headrace";
 *
 * const source = new Blob([new Uint8Array(5000)]).stream();
 * for await (const chunk of chunksFrom(source, { chunkBytes: 4096 })) {
 *   console.log(chunk.byteOffset, chunk.rawBytes); // 0 4096, 4096 904
 * }
 * ```
 */
export function chunksFrom(
  source: ReadableStream<Uint8Array>,
  options: ChunkerOptions = {},
): ReadableStream<TensorChunk> {
  const { chunkBytes, byteOffset } = checkChunkerOptions(options);
  const reader = byobReader(source);
  if (!reader) return source.pipeThrough(new ChunkerStream({ chunkBytes, byteOffset }));
  let start = byteOffset;
  return new ReadableStream<TensorChunk>(
    {
      async pull(controller) {
        const { bytes, isLast } = await readFully(reader, chunkEnd(start, chunkBytes) - start);
        if (bytes.byteLength > 0) controller.enqueue(rawChunk(start, bytes));
        start += bytes.byteLength;
        if (isLast) {
          controller.close();
          reader.releaseLock();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function byobReader(source: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  if (source.locked) throw new TypeError("Cannot read chunks from a stream that is locked");
  try {
    return source.getReader({ mode: "byob" });
  } catch {
    // Not a byte stream: there is no other way to ask.
    return undefined;
  }
}

/** Reads `byteLength` bytes, fewer only at the stream's end. */
async function readFully(
  reader: ReadableStreamBYOBReader,
  byteLength: number,
): Promise<{ bytes: Uint8Array; isLast: boolean }> {
  let buffer = new ArrayBuffer(byteLength);
  let filled = 0;
  while (filled < byteLength) {
    const rest = byteLength - filled;
    // Runtimes that do not know `min` give what they have.
    const read = await reader.read(new Uint8Array(buffer, filled, rest), { min: rest });
    // At the end there may be a last part, or, after a cancel, nothing at all.
    if (read.value) {
      buffer = read.value.buffer;
      filled += read.value.byteLength;
    }
    if (read.done) return { bytes: new Uint8Array(buffer, 0, filled), isLast: true };
  }
  return { bytes: new Uint8Array(buffer), isLast: false };
}
