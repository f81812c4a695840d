// This module runs in every runtime.
import type { TensorChunk } from "../tensor/chunk.ts";
import { ChunkCutter, type ChunkerOptions } from "./chunk_cutter.ts";

const kindOf = (value: unknown): string =>
  typeof value === "object" && value !== null
    ? (value.constructor?.name ?? "object")
    : typeof value;

/**
 * Cuts a tensor's bytes, in any slicing, into chunks. A chunk that lies in one slice is a view of
 * it, without a copy; so what is written belongs to the stage.
 *
 * The stream errors with a `TypeError` for anything but a `Uint8Array`.
 *
 * @throws {RangeError} for a chunk size or an offset that is out of range.
 *
 * @example
 * ```ts
 * import { ChunkerStream } from "headrace";
 *
 * const bytes = new Blob([new Uint8Array(3_000_000)]).stream();
 * for await (const chunk of bytes.pipeThrough(new ChunkerStream({ chunkBytes: 1_048_576 }))) {
 *   console.log(chunk.byteOffset, chunk.rawBytes); // 0 1048576, 1048576 1048576, 2097152 902848
 * }
 * ```
 */
export class ChunkerStream extends TransformStream<Uint8Array, TensorChunk> {
  constructor(options: ChunkerOptions = {}) {
    const cutter = new ChunkCutter(options);
    super({
      transform(slice: unknown, controller) {
        if (!(slice instanceof Uint8Array)) {
          throw new TypeError(`A chunker takes Uint8Array, found ${kindOf(slice)}`);
        }
        for (const chunk of cutter.push(slice)) controller.enqueue(chunk);
      },
      flush(controller) {
        const last = cutter.finish();
        if (last) controller.enqueue(last);
      },
    });
  }
}
