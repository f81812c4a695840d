// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import type { TensorChunk } from "../tensor/chunk.ts";

/** Options of an {@linkcode AssemblerStream}. */
export interface AssemblerOptions {
  /** Where the first chunk is expected to begin; default 0. */
  readonly byteOffset?: number;
}

/**
 * Turns verified chunks into the tensor's bytes, in order and without a gap. The bytes are the
 * chunks' own; nothing is copied or held back.
 *
 * The stream errors with a {@linkcode ProtocolError} for a chunk that is not the next one, and with
 * a `TypeError` for one that is still compressed.
 */
export class AssemblerStream extends TransformStream<TensorChunk, Uint8Array> {
  constructor(options: AssemblerOptions = {}) {
    let next = options.byteOffset ?? 0;
    super({
      transform(chunk, controller) {
        if (chunk.codec !== "none") {
          throw new TypeError(`Cannot assemble a chunk that is still ${chunk.codec}`);
        }
        if (chunk.byteOffset !== next) {
          throw new ProtocolError(
            `The chunk at byte ${chunk.byteOffset} came where byte ${next} was next`,
            { byteOffset: chunk.byteOffset },
          );
        }
        next += chunk.bytes.byteLength;
        controller.enqueue(chunk.bytes);
      },
    });
  }
}
