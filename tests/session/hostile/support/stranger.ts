import type { Connection } from "../../../../lib/connection.ts";
import { News } from "../../../../lib/deferred.ts";
import { xxh32 } from "../../../../lib/wire/xxh32.ts";
import { type Fields, join, uncbor } from "./cbor.ts";
import { checked, control, number, preamble, TYPE } from "./frames.ts";
import { HELLO } from "./messages.ts";

const HEADER_BYTES = 16;
const PREAMBLE_BYTES = 8;

/** A frame that came. */
export interface Heard {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

/** What somebody says about a failure. */
export interface Fault extends Fields {
  readonly code: string;
  readonly retryable: boolean;
  readonly message: string;
}

/** The far end of a peer's connection, that knows SPEC.md, and sends whatever a test likes. */
export class Stranger {
  readonly connection: Connection;
  /** Settles when nothing more comes. */
  readonly ended: Promise<void>;
  /** Bytes that were sent and that came. */
  sentBytes = 0;
  heardBytes = 0;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #news = new News();
  /** By type, in the order in which they came. */
  readonly #heard = new Map<number, Heard[]>();
  #isEnded = false;

  /** @param reads Whether it ever reads. */
  constructor(connection: Connection, reads = true) {
    this.connection = connection;
    this.#writer = connection.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.ended = reads ? this.#read() : connection.closed.catch(() => {});
  }

  /** Frames of a type that came and were not looked at. */
  waiting(type: number): readonly Heard[] {
    return this.#heard.get(type) ?? [];
  }

  /** Whether the other end has let go. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Sends bytes, as far as they are taken. */
  async send(...parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      this.sentBytes += part.byteLength;
      await this.#writer.write(part).catch(() => {});
    }
  }

  /** Preamble and HELLO, by a dialler or an accepter; then waits for the other's. */
  async greet(other: Fields = {}): Promise<Fields> {
    await this.send(preamble(), control(TYPE.hello, 0, { ...HELLO, ...other }));
    return this.nextFields(TYPE.hello);
  }

  /** The next frame of this type, on this stream if one is given. */
  async next(type: number, stream?: number): Promise<Heard> {
    for (;;) {
      const all = this.#heard.get(type) ?? [];
      const at = all.findIndex((heard) => stream === undefined || heard.stream === stream);
      const [found] = at < 0 ? [] : all.splice(at, 1);
      if (found) return found;
      if (this.#isEnded) throw new Error(`No frame of type ${type} came on stream ${stream}`);
      await this.#news.wait();
    }
  }

  /** The next control message of this type. */
  async nextFields(type: number, stream?: number): Promise<Fields> {
    const { payload } = await this.next(type, stream);
    return uncbor(payload.subarray(0, -4)) as Fields;
  }

  /** Why a stream, or the connection, is over. */
  async fault(stream = 0): Promise<Fault> {
    return (await this.nextFields(TYPE.error, stream)) as Fault;
  }

  /** Waits until the peer has read everything so far: a ping goes there and back. */
  async settled(value = 7): Promise<void> {
    await this.send(number(TYPE.ping, 0, value));
    for (;;) {
      const { payload } = await this.next(TYPE.pong, 0);
      if (payload[0] === value) return;
    }
  }

  /** Lets go without a word. */
  leave(): void {
    this.connection.close();
  }

  async #read(): Promise<void> {
    const reader = this.connection.readable.getReader();
    let rest: Uint8Array = new Uint8Array();
    let isGreeted = false;
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        this.heardBytes += next.value.byteLength;
        rest = rest.byteLength === 0 ? next.value : join(rest, next.value);
        if (!isGreeted && rest.byteLength < PREAMBLE_BYTES) continue;
        if (!isGreeted) rest = rest.subarray(PREAMBLE_BYTES);
        isGreeted = true;
        rest = this.#parse(rest).slice();
        this.#news.tell();
      }
    } catch {
      // Whoever waits for a frame learns that none comes.
    }
    this.#isEnded = true;
    this.#news.tell();
  }

  /** @returns what is left of a frame that is not whole. */
  #parse(bytes: Uint8Array): Uint8Array {
    let at = 0;
    for (;;) {
      const head = bytes.subarray(at, at + HEADER_BYTES);
      if (head.byteLength < HEADER_BYTES) return bytes.subarray(at);
      const view = new DataView(head.buffer, head.byteOffset, HEADER_BYTES);
      if (view.getUint32(12, true) !== xxh32(head.subarray(0, 12), 0x68647263)) {
        throw new Error("A header came whose check does not match");
      }
      const end = at + HEADER_BYTES + view.getUint32(8, true);
      if (end > bytes.byteLength) return bytes.subarray(at);
      const payload = bytes.slice(at + HEADER_BYTES, end);
      const [type = 0, flags = 0] = head;
      const all = this.#heard.get(type) ?? [];
      all.push({ type, flags, stream: view.getUint32(4, true), payload });
      this.#heard.set(type, all);
      // Whoever does not say what has come gets little more.
      if (type === TYPE.ping) void this.send(checked(TYPE.pong, 0, payload.subarray(0, -4)));
      at = end;
    }
  }
}
