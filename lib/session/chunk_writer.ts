// This module runs in every runtime.
import { CHUNK_FRONT_BYTES } from "../streams/frame_encoder_stream.ts";
import type { FrameLink } from "../streams/frame_link.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import { chunkHeadOf, writeChunkFront } from "../wire/chunk_head.ts";
import type { Pace } from "./pace.ts";

/** Fragments below this are packed together: a write of the link costs more than copying them. */
const PACKED_BELOW_BYTES = 16 * 1024;
const PACK_BYTES = 64 * 1024;

/** Writes the chunks of one segment as CHUNK frames: large fragments as they lie, small ones packed. */
export class ChunkWriter {
  readonly #link: FrameLink;
  readonly #stream: number;
  readonly #pace: Pace;
  #pack: Uint8Array = new Uint8Array();
  #packed = 0;
  /** A tensor of a few bytes needs no more than those. */
  readonly #packBytes: number;

  /** @param frameBytes What all chunks of the segment take with their fronts. */
  constructor(link: FrameLink, stream: number, pace: Pace, frameBytes: number) {
    this.#packBytes = Math.min(PACK_BYTES, frameBytes);
    this.#link = link;
    this.#stream = stream;
    this.#pace = pace;
  }

  /** Writes one chunk; after `flush`, its buffer is free. */
  async write(chunk: TensorChunk, codec: number): Promise<void> {
    for (let at = 0; at < chunk.bytes.byteLength; ) {
      const data = chunk.bytes.subarray(at, at + this.#pace.sizer.fragmentBytes);
      const head = chunkHeadOf(chunk, codec, at);
      const frameBytes = CHUNK_FRONT_BYTES + data.byteLength;
      if (data.byteLength < PACKED_BELOW_BYTES) {
        if (this.#packed + frameBytes > this.#pack.byteLength) await this.flush();
        if (this.#pack.byteLength < frameBytes) this.#pack = new Uint8Array(this.#packBytes);
        writeChunkFront(this.#pack.subarray(this.#packed), this.#stream, head, data.byteLength);
        this.#pack.set(data, this.#packed + CHUNK_FRONT_BYTES);
        this.#packed += frameBytes;
      } else {
        await this.flush();
        const front = new Uint8Array(CHUNK_FRONT_BYTES);
        writeChunkFront(front, this.#stream, head, data.byteLength);
        await this.#timed(frameBytes, front, data);
      }
      at += data.byteLength;
    }
  }

  /** Writes what is packed. */
  async flush(): Promise<void> {
    if (this.#packed === 0) return;
    const packed = this.#pack.subarray(0, this.#packed);
    this.#packed = 0;
    await this.#timed(packed.byteLength, packed);
  }

  async #timed(bytes: number, ...parts: readonly Uint8Array[]): Promise<void> {
    const startMs = this.#pace.clock.now();
    await this.#link.write(...parts);
    this.#pace.sizer.wrote(bytes, this.#pace.clock.now() - startMs);
  }
}
