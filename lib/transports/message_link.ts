// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { ProtocolError, TransportError } from "../errors.ts";
import { closeError } from "./close_error.ts";
import type { Link, LinkEvents } from "./link.ts";
import { MessageQueue } from "./message_queue.ts";
import { type MessageSocket, MOST_MESSAGE_BYTES } from "./message_socket.ts";

/** What may be on its way, or wait at the other end until its reader takes it. */
export const MESSAGE_WINDOW_BYTES: number = 16 * 1024 * 1024;
/** What was taken is told when it is so much more. */
const TOLD_BYTES = MESSAGE_WINDOW_BYTES / 4;
/** Messages are handed over one by one, each in a turn of the event loop, on fast links with delays. */
const SLACK = { ms: 20, bytes: 8 * 1024 * 1024 } as const;
/** The last message but for numbers. Not an empty one: Chromium loses some of those behind much else. */
const END = "end";
/** What is written at once goes in one message up to this: a message costs more than copying it. */
const JOINED_BYTES = 512 * 1024;

/**
 * A byte stream over messages, which nothing slows down by itself: a reader says how much it has
 * taken, and no more than a window is sent beyond that. SPEC.md, "Over WebSocket", has the rules.
 */
export class MessageLink implements Link {
  readonly remote: string;
  readonly slack: NonNullable<Link["slack"]> = SLACK;
  readonly #socket: MessageSocket;
  /** Where pieces are joined. */
  readonly #scratch = new Scratch();
  #events: LinkEvents | undefined;
  /** What came and nobody has asked for yet. */
  readonly #queue: MessageQueue = new MessageQueue();
  #isWanted = false;
  #isHandingOver = false;
  #heardBytes = 0;
  #takenBytes = 0;
  #toldBytes = 0;
  #sentBytes = 0;
  /** What the other end has taken, as far as it said. */
  #takenThereBytes = 0;
  #room: Deferred<void> | undefined;
  #hasEnded = false;
  #isEndHeard = false;
  #isEndSaid = false;
  #failure: unknown;

  constructor(socket: MessageSocket) {
    this.#socket = socket;
    this.remote = socket.remote;
  }

  start(events: LinkEvents): void {
    this.#events = events;
    this.#socket.start({
      message: (data) => this.#guard(() => this.#heard(data)),
      closed: (code, reason) => this.#closed(code, reason),
    });
  }

  resume(): void {
    this.#isWanted = true;
    this.#handOver();
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    for (const message of messagesOf(pieces, this.#scratch)) {
      while (this.#sentBytes + message.byteLength > this.#takenThereBytes + MESSAGE_WINDOW_BYTES) {
        this.#throwFailure();
        this.#room ??= deferred();
        await this.#room.promise;
      }
      this.#throwFailure();
      this.#sentBytes += message.byteLength;
      await this.#socket.send(message);
    }
    this.#throwFailure();
  }

  async end(): Promise<void> {
    this.#throwFailure();
    this.#isEndSaid = true;
    await this.#socket.send(END);
  }

  release(reset: boolean): void {
    this.#failure ??= new TransportError(
      `The connection to ${this.remote} was closed at this end.`,
    );
    this.#wake();
    this.#queue.clear();
    if (!reset && !this.#isEndSaid) this.#socket.send(END);
    this.#socket.close(reset);
  }

  #heard(data: Uint8Array | string): void {
    if (this.#failure !== undefined) return;
    if (typeof data === "string" && data !== END) {
      this.#heardTaken(data);
    } else if (this.#isEndHeard) {
      throw new ProtocolError(`${this.remote} sent a message after its last`);
    } else if (data === END) {
      this.#isEndHeard = true;
      this.#handOver();
    } else {
      this.#heardBytes += data.byteLength;
      const isTooMuch = this.#heardBytes > this.#toldBytes + MESSAGE_WINDOW_BYTES;
      if (isTooMuch || data.byteLength === 0 || data.byteLength > MOST_MESSAGE_BYTES) {
        throw new ProtocolError(
          `${this.remote} sent ${data.byteLength} bytes where its window ends at ${this.#toldBytes + MESSAGE_WINDOW_BYTES}, ${this.#heardBytes} in all`,
        );
      }
      this.#queue.push(data);
      this.#handOver();
    }
  }

  #heardTaken(text: string): void {
    const takenBytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(takenBytes <= this.#sentBytes)) {
      throw new ProtocolError(
        `${this.remote} says it took ${text.slice(0, 20)} of ${this.#sentBytes} bytes`,
      );
    }
    if (takenBytes <= this.#takenThereBytes) {
      throw new ProtocolError(
        `${this.remote} says it took ${takenBytes} bytes, after it took ${this.#takenThereBytes}`,
      );
    }
    this.#takenThereBytes = takenBytes;
    this.#wake();
  }

  #handOver(): void {
    if (this.#isHandingOver) return;
    this.#isHandingOver = true;
    while (this.#isWanted) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#isWanted = false;
      this.#took(next.byteLength);
      // Whoever takes it may ask for more meanwhile.
      if (this.#events?.bytes(next)) this.#isWanted = true;
    }
    this.#isHandingOver = false;
    if (!this.#isEndHeard || !this.#queue.isEmpty || this.#hasEnded) return;
    this.#hasEnded = true;
    this.#events?.end();
    if (this.#failure !== undefined) this.#events?.fail(this.#failure);
  }

  #took(bytes: number): void {
    this.#takenBytes += bytes;
    if (this.#takenBytes - this.#toldBytes < TOLD_BYTES || this.#isEndHeard) return;
    this.#toldBytes = this.#takenBytes;
    this.#socket.send(String(this.#takenBytes));
  }

  #closed(code: number, reason: string): void {
    if (this.#isEndHeard && this.#isEndSaid) return;
    this.#fail(closeError(this.remote, code, reason));
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#wake();
    // What came before an orderly end is still to be had.
    if (!this.#isEndHeard || this.#hasEnded) this.#events?.fail(error);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}

/** Memory that is used again and again, as large as it had to be. */
class Scratch {
  #bytes = new Uint8Array();

  of(byteLength: number): Uint8Array {
    if (this.#bytes.byteLength < byteLength) this.#bytes = new Uint8Array(byteLength);
    return this.#bytes.subarray(0, byteLength);
  }
}

/** The messages for these pieces; each is looked at before the next is made. */
function* messagesOf(pieces: readonly Uint8Array[], scratch: Scratch): Generator<Uint8Array> {
  let at = 0;
  while (at < pieces.length) {
    const first = pieces[at] as Uint8Array;
    let joinedBytes = first.byteLength;
    let end = at + 1;
    for (let next = pieces[end]; next; next = pieces[++end]) {
      if (joinedBytes + next.byteLength > JOINED_BYTES) break;
      joinedBytes += next.byteLength;
    }
    if (end === at + 1) {
      for (let from = 0; from < first.byteLength; from += JOINED_BYTES) {
        yield first.subarray(from, from + JOINED_BYTES);
      }
    } else {
      const joined = scratch.of(joinedBytes);
      let to = 0;
      for (const piece of pieces.slice(at, end)) {
        joined.set(piece, to);
        to += piece.byteLength;
      }
      yield joined;
    }
    at = end;
  }
}
