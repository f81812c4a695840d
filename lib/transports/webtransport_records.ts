// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";

/** Bytes before each record: how many follow, or one of the words below. */
export const RECORD_HEAD_BYTES = 4;
/** The most bytes of one record. */
export const MOST_RECORD_BYTES: number = 1024 * 1024 * 1024;

/** Words in place of a length. */
export const RECORD = {
  /** No bytes come any more. */
  end: 0,
  /** First on a stream that a dialler opened: one on which nothing was written is not seen. */
  open: 0xfffffffe,
  /** Nothing is written or read any more, and all that came was. */
  gone: 0xffffffff,
} as const;

/** What a {@linkcode RecordParser} finds, in order. */
export interface RecordEvents {
  bytes(view: Uint8Array): void;
  end(): void;
  gone(): void;
}

/** The head of a record of so many bytes, or a word. */
export function recordHead(value: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(RECORD_HEAD_BYTES);
  new DataView(head.buffer).setUint32(0, value, true);
  return head;
}

/** Takes the records of one way of a stream apart, however they are sliced; SPEC.md, "Over WebTransport". */
export class RecordParser {
  readonly #events: RecordEvents;
  readonly #head = new Uint8Array(RECORD_HEAD_BYTES);
  readonly #headView = new DataView(this.#head.buffer);
  #headBytes = 0;
  /** What is left of the record that has begun. */
  #leftBytes = 0;
  #isFirst = true;
  #hasEnded = false;
  #isGone = false;

  constructor(events: RecordEvents) {
    this.#events = events;
  }

  /**
   * Takes one record's piece off the front.
   *
   * @returns how many bytes were taken; call again with the rest.
   * @throws {ProtocolError} when that cannot be a record.
   */
  take(view: Uint8Array): number {
    if (this.#isGone) throw new ProtocolError("The other end sent bytes after it was gone");
    if (this.#leftBytes > 0) {
      const takenBytes = Math.min(this.#leftBytes, view.byteLength);
      this.#leftBytes -= takenBytes;
      this.#events.bytes(view.subarray(0, takenBytes));
      return takenBytes;
    }
    const takenBytes = Math.min(RECORD_HEAD_BYTES - this.#headBytes, view.byteLength);
    this.#head.set(view.subarray(0, takenBytes), this.#headBytes);
    this.#headBytes += takenBytes;
    if (this.#headBytes === RECORD_HEAD_BYTES) {
      this.#headBytes = 0;
      this.#begin(this.#headView.getUint32(0, true));
      this.#isFirst = false;
    }
    return takenBytes;
  }

  #begin(word: number): void {
    if (word === RECORD.gone) {
      this.#isGone = true;
      this.#events.gone();
    } else if (word === RECORD.open && this.#isFirst) {
      return;
    } else if (this.#hasEnded || word > MOST_RECORD_BYTES) {
      throw new ProtocolError(`The other end sent 0x${word.toString(16)} where a record begins`);
    } else if (word === RECORD.end) {
      this.#hasEnded = true;
      this.#events.end();
    } else {
      this.#leftBytes = word;
    }
  }
}
