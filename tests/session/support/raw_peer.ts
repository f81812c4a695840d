import type { Connection } from "../../../lib/connection.ts";
import { News } from "../../../lib/deferred.ts";
import { chunkHeadOf, writeChunkFront } from "../../../lib/wire/chunk_head.ts";
import {
  decodeChecked,
  decodeMessage,
  encodeChecked,
  encodeMessage,
} from "../../../lib/wire/control.ts";
import {
  CHUNK_HEAD_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
} from "../../../lib/wire/frame_header.ts";
import { FrameParser } from "../../../lib/wire/frame_parser.ts";
import type { Fault, Hello, Messages } from "../../../lib/wire/messages.ts";
import { encodePreamble } from "../../../lib/wire/preamble.ts";
import { xxh32 } from "../../../lib/wire/xxh32.ts";
import { SHAPES } from "../../wire/shapes_by_kind.ts";

/** A frame that came, or the head of a CHUNK frame. */
export interface RawFrame {
  readonly header: FrameHeader;
  readonly payload: Uint8Array;
}

export const HELLO: Hello = {
  instance: new Uint8Array(16).fill(7),
  node: "raw",
  role: "mixed",
  codecs: ["deflate"],
  features: [],
  maxChunkBytes: 64 * 1024 * 1024,
  connectionCredit: 64 * 1024 * 1024,
  maxTransfers: 256,
  maxRequests: 4096,
};

/** An end of a connection that says exactly what a test tells it to, however wrong. */
export class RawPeer {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #connection: Connection;
  readonly #frames: RawFrame[] = [];
  readonly #news = new News();
  /** Settles when nothing more comes. */
  readonly ended: Promise<void>;
  #isEnded = false;
  /** Data bytes of chunks that came. */
  chunkBytes = 0;
  /** Chunks that it has sent, on all streams. */
  chunksSent = 0;
  /** Whether every PING is answered, so that the other end sends more than it does blindly. */
  answersPings = false;

  /** @param reads Whether anything is read at all. */
  constructor(connection: Connection, reads = true) {
    this.#connection = connection;
    this.#writer = connection.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.ended = reads ? this.#read() : Promise.resolve();
    this.ended.catch(() => {});
  }

  async #read(): Promise<void> {
    const parser = new FrameParser({
      frame: (header, payload) => {
        this.#frames.push({ header, payload: payload.slice() });
        if (header.type !== FRAME.ping || !this.answersPings) return;
        void this.send(encodeChecked(FRAME.pong, 0, decodeChecked(header, payload).slice()));
      },
      chunk: (header) => {
        this.#frames.push({ header, payload: new Uint8Array() });
      },
      chunkData: (bytes) => {
        this.chunkBytes += bytes.byteLength;
      },
    });
    const reader = this.#connection.readable.getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        parser.push(next.value);
        this.#news.tell();
      }
    } catch {
      // Whoever waits for a frame learns that none comes.
    }
    this.#isEnded = true;
    this.#news.tell();
  }

  /** Writes bytes as they are, as far as the other end takes them. */
  async send(...parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) await this.#writer.write(part).catch(() => {});
  }

  async message<K extends keyof Messages>(
    kind: K,
    stream: number,
    message: Messages[K],
  ): Promise<void> {
    await this.send(encodeMessage(kind, stream, message));
  }

  /** Preamble and the first frame of a lane. */
  async begin<K extends keyof Messages>(kind: K, message: Messages[K]): Promise<void> {
    await this.send(encodePreamble());
    await this.message(kind, 0, message);
  }

  /** Preamble and HELLO. */
  async greet(hello: Partial<Hello> = {}): Promise<void> {
    await this.send(encodePreamble());
    await this.message("hello", 0, { ...HELLO, ...hello });
  }

  /** One CHUNK frame with a whole uncompressed chunk. */
  async chunk(
    stream: number,
    byteOffset: number,
    bytes: Uint8Array,
    checksum: number = xxh32(bytes),
    flags = 0,
  ): Promise<void> {
    const chunk = { byteOffset, rawBytes: bytes.byteLength, bytes, codec: "none", checksum };
    const frame = new Uint8Array(FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES + bytes.byteLength);
    writeChunkFront(frame, stream, chunkHeadOf(chunk, 0, 0), bytes.byteLength, flags);
    frame.set(bytes, FRAME_HEADER_BYTES + CHUNK_HEAD_BYTES);
    this.chunksSent++;
    await this.send(frame);
  }

  /** The next frame of this type, those before it passed over; fails when none comes any more. */
  async next(type: number): Promise<RawFrame> {
    for (;;) {
      for (let frame = this.#frames.shift(); frame; frame = this.#frames.shift()) {
        if (frame.header.type === type) return frame;
      }
      if (this.#isEnded) throw new Error(`No frame of type ${type} came`);
      await this.#news.wait();
    }
  }

  /** Waits for so many bytes of chunks in all. */
  async chunks(bytes: number): Promise<void> {
    while (this.chunkBytes < bytes) {
      if (this.#isEnded) throw new Error(`Only ${this.chunkBytes} bytes of chunks came`);
      await this.#news.wait();
    }
  }

  async nextMessage<K extends keyof Messages>(kind: K): Promise<Messages[K]> {
    const { header, payload } = await this.next(FRAME[kind]);
    return decodeMessage<Messages[K]>(SHAPES[kind], header, payload);
  }

  async nextBody(type: number): Promise<Uint8Array> {
    const { header, payload } = await this.next(type);
    return decodeChecked(header, payload);
  }

  /** Why the other end gave up. */
  fault(): Promise<Fault> {
    return this.nextMessage("error");
  }

  close(reason?: unknown): void {
    this.#connection.close(reason);
  }
}
