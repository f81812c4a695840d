import type { Connection } from "../../../lib/connection.ts";
import { News } from "../../../lib/deferred.ts";
import { decodeChecked, encodeChecked } from "../../../lib/wire/control.ts";
import { FRAME, FRAME_HEADER_BYTES, readFrameHeader } from "../../../lib/wire/frame_header.ts";
import { PREAMBLE_BYTES } from "../../../lib/wire/preamble.ts";
import { concat } from "../../wire/vectors.ts";

/**
 * An end of a connection that knows nothing but where frames begin and end: it says the bytes that
 * it is given, and hands over the preamble and each frame that comes as they are. Pings, which may
 * come at any time, it answers by itself.
 */
export class ScriptedEnd {
  readonly #connection: Connection;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #heard: Uint8Array[] = [];
  readonly #news = new News();
  #pending: Uint8Array = new Uint8Array();
  #isGreeted = false;
  #isEnded = false;
  /** Settles when nothing more comes. */
  readonly ended: Promise<void>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#writer = connection.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.ended = this.#read();
  }

  /** What came and was not asked for. */
  get left(): readonly Uint8Array[] {
    return this.#heard;
  }

  /** Says these bytes, as far as the other end takes them. */
  async say(bytes: Uint8Array): Promise<void> {
    await this.#writer.write(bytes).catch(() => {});
  }

  /** The preamble or the next frame, as it came; fails when nothing comes any more. */
  async next(): Promise<Uint8Array> {
    for (;;) {
      const next = this.#heard.shift();
      if (next) return next;
      if (this.#isEnded) throw new Error("The other end has said all that it has to say");
      await this.#news.wait();
    }
  }

  /** Lets go of the connection without a word. */
  cut(reason: unknown): void {
    this.#connection.close(reason);
  }

  async #read(): Promise<void> {
    const reader = this.#connection.readable.getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        this.#pending = concat([this.#pending, next.value]);
        for (let one = this.#take(); one; one = this.#take()) this.#sort(one);
        this.#news.tell();
      }
    } catch {
      // Whoever waits for a frame learns that none comes.
    }
    this.#isEnded = true;
    this.#news.tell();
  }

  #take(): Uint8Array | undefined {
    const front = this.#isGreeted ? FRAME_HEADER_BYTES : PREAMBLE_BYTES;
    if (this.#pending.byteLength < front) return undefined;
    const payloadBytes = this.#isGreeted ? readFrameHeader(this.#pending).payloadBytes : 0;
    if (this.#pending.byteLength < front + payloadBytes) return undefined;
    const taken = this.#pending.slice(0, front + payloadBytes);
    this.#pending = this.#pending.slice(front + payloadBytes);
    return taken;
  }

  #sort(taken: Uint8Array): void {
    const header = this.#isGreeted ? readFrameHeader(taken) : undefined;
    this.#isGreeted = true;
    if (header?.type === FRAME.ping) {
      const body = decodeChecked(header, taken.subarray(FRAME_HEADER_BYTES));
      void this.say(encodeChecked(FRAME.pong, 0, body));
    } else if (header?.type !== FRAME.pong) {
      this.#heard.push(taken);
    }
  }
}
