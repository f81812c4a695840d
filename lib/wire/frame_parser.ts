// This module runs in every runtime.
import { ProtocolError, TransportError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { type ChunkHead, readChunkHead } from "./chunk_head.ts";
import {
  CHUNK_HEAD_BYTES,
  FIRST_SKIPPABLE_TYPE,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameName,
  readFrameHeader,
} from "./frame_header.ts";
import { beginsPreamble, decodePreamble, PREAMBLE_BYTES, type VersionRange } from "./preamble.ts";

/** What a {@linkcode FrameParser} finds, in order. Every view is valid during the call only. */
export interface FrameHandler {
  /** The other end's preamble. */
  preamble?(versions: VersionRange): void;
  /** A whole frame that is not CHUNK. */
  frame(header: FrameHeader, payload: Uint8Array): void;
  /** A CHUNK frame begins; `dataBytes` bytes of it follow through `chunkData`. */
  chunk(header: FrameHeader, head: ChunkHead, dataBytes: number): void;
  /** The next bytes of the CHUNK frame that began last, as they came. */
  chunkData(bytes: Uint8Array): void;
}

type State = "preamble" | "header" | "head" | "payload" | "data" | "skip";

/**
 * Finds frames in a byte stream, however it is sliced. Synchronous; keeps at most one header or one
 * control payload, both capped, and never the data of a chunk.
 */
export class FrameParser {
  readonly #handler: FrameHandler;
  readonly #limits: Limits;
  readonly #front = new Uint8Array(CHUNK_HEAD_BYTES);
  #payload = new Uint8Array();
  #state: State;
  /** Where a header or payload that came in pieces is put together. */
  #gathered: Uint8Array = this.#front;
  #gatheredBytes = 0;
  #header: FrameHeader = { type: 0, flags: 0, stream: 0, payloadBytes: 0 };
  /** What is left of the data or of what is skipped. */
  #leftBytes = 0;

  /** @param expectPreamble Whether the stream begins with a preamble, as a connection does. */
  constructor(handler: FrameHandler, limits: Limits = DEFAULT_LIMITS, expectPreamble = true) {
    this.#handler = handler;
    this.#limits = limits;
    this.#state = expectPreamble ? "preamble" : "header";
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @throws {ProtocolError | TransportError} at the first byte that breaks the specification or a
   *   check; the parser is then of no further use.
   */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.byteLength) {
      if (this.#state === "data" || this.#state === "skip") {
        const part = bytes.subarray(at, at + this.#leftBytes);
        at += part.byteLength;
        this.#leftBytes -= part.byteLength;
        const over = this.#leftBytes === 0;
        const skipped = this.#state === "skip";
        if (over) this.#state = "header";
        if (!skipped) this.#handler.chunkData(part);
        continue;
      }
      const wanted = this.#wantedBytes();
      if (this.#gatheredBytes === 0 && bytes.byteLength - at >= wanted) {
        at += wanted;
        this.#take(bytes.subarray(at - wanted, at));
        continue;
      }
      if (this.#gatheredBytes === 0) this.#gathered = this.#room(wanted);
      const part = bytes.subarray(at, at + wanted - this.#gatheredBytes);
      this.#gathered.set(part, this.#gatheredBytes);
      this.#gatheredBytes += part.byteLength;
      at += part.byteLength;
      if (
        this.#state === "preamble" &&
        !beginsPreamble(this.#gathered.subarray(0, this.#gatheredBytes))
      ) {
        decodePreamble(this.#gathered.subarray(0, this.#gatheredBytes));
      }
      if (this.#gatheredBytes === wanted) {
        this.#gatheredBytes = 0;
        this.#take(this.#gathered.subarray(0, wanted));
      }
    }
  }

  /** @throws {TransportError} when the stream ended inside a frame. */
  end(): void {
    if (this.#state === "header" && this.#gatheredBytes === 0) return;
    const where =
      this.#state === "preamble"
        ? "before the peer said what it is"
        : this.#state === "header"
          ? "inside a frame's header"
          : `inside a ${frameName(this.#header.type)} frame`;
    throw new TransportError(`The connection ended ${where}`);
  }

  /** Memory for a header or a payload; one that held a large payload holds the next as well. */
  #room(byteLength: number): Uint8Array {
    if (byteLength <= this.#front.byteLength) return this.#front;
    if (byteLength > this.#payload.byteLength) this.#payload = new Uint8Array(byteLength);
    return this.#payload;
  }

  #wantedBytes(): number {
    if (this.#state === "preamble") return PREAMBLE_BYTES;
    if (this.#state === "header") return FRAME_HEADER_BYTES;
    return this.#state === "head" ? CHUNK_HEAD_BYTES : this.#header.payloadBytes;
  }

  #take(bytes: Uint8Array): void {
    if (this.#state === "preamble") {
      this.#state = "header";
      this.#handler.preamble?.(decodePreamble(bytes));
    } else if (this.#state === "header") {
      this.#header = readFrameHeader(bytes, this.#limits);
      this.#begin(this.#header);
    } else if (this.#state === "head") {
      const dataBytes = this.#header.payloadBytes - CHUNK_HEAD_BYTES;
      const head = readChunkHead(bytes, dataBytes, this.#limits);
      this.#state = "data";
      this.#leftBytes = dataBytes;
      this.#handler.chunk(this.#header, head, dataBytes);
    } else {
      this.#state = "header";
      this.#handler.frame(this.#header, bytes);
    }
  }

  #begin(header: FrameHeader): void {
    if (header.type === FRAME.chunk) {
      if (header.payloadBytes <= CHUNK_HEAD_BYTES) {
        throw new ProtocolError(`The peer sent a chunk frame of ${header.payloadBytes} bytes`);
      }
      this.#state = "head";
    } else if (header.type >= FIRST_SKIPPABLE_TYPE) {
      this.#leftBytes = header.payloadBytes;
      this.#state = header.payloadBytes > 0 ? "skip" : "header";
    } else if (header.payloadBytes === 0) {
      this.#handler.frame(header, new Uint8Array());
    } else {
      this.#state = "payload";
    }
  }
}
