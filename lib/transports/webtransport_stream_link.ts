// This module runs in every runtime.
import { ProtocolError, TransportError } from "../errors.ts";
import { joinBytes } from "../tensor/bytes.ts";
import type { Link, LinkEvents } from "./link.ts";
import type { WebTransportStreamLike } from "./webtransport_like.ts";
import { RECORD, RecordParser, recordHead } from "./webtransport_records.ts";

/** What comes is handed over by the runtime, not by its kernel: on fast links with delays. */
const SLACK = { ms: 20, bytes: 8 * 1024 * 1024 } as const;
/** Larger writes are slower in some runtimes. */
const MOST_WRITE_BYTES = 64 * 1024;
/** Writes up to this are copied behind their head: a write costs more. */
const JOINED_BYTES = 16 * 1024;

/** What a {@linkcode WebTransportStreamLink} is made with. */
export interface StreamLinkOptions {
  readonly remote: string;
  /** Whether this end opened the stream. */
  readonly isOpener: boolean;
  /** The other end needs nothing any more, and has all that was sent. */
  onGone?(): void;
  /** This end needs nothing any more, and has said so. */
  onRelease?(reset: boolean): void;
}

/**
 * A stream of WebTransport as a {@linkcode Link}. Ends and resets of streams get lost in some
 * runtimes: both are said in records, SPEC.md, "Over WebTransport".
 */
export class WebTransportStreamLink implements Link {
  readonly remote: string;
  readonly slack: NonNullable<Link["slack"]> = SLACK;
  readonly #options: StreamLinkOptions;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #parser: RecordParser;
  #events: LinkEvents | undefined;
  /** What was read and not handed over. */
  #rest: Uint8Array | undefined;
  #isWanted = false;
  #isReading = false;
  #isEndHeard = false;
  #isEndSaid = false;
  #isGoneHeard = false;
  #isReleased = false;

  constructor({ readable, writable }: WebTransportStreamLike, options: StreamLinkOptions) {
    this.remote = options.remote;
    this.#options = options;
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    for (const { closed } of [this.#reader, this.#writer]) closed.catch(() => {});
    this.#parser = new RecordParser({
      bytes: (view) => {
        if (this.#isReleased) return;
        this.#isWanted = this.#events?.bytes(view) ?? false;
      },
      end: () => {
        this.#isEndHeard = true;
        if (!this.#isReleased) this.#events?.end();
      },
      gone: () => this.#heardGone(),
    });
    if (options.isOpener) this.#say(RECORD.open);
  }

  start(events: LinkEvents): void {
    this.#events = events;
  }

  resume(): void {
    this.#isWanted = true;
    if (!this.#isReading) void this.#readOn();
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    const byteLength = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
    if (byteLength === 0) return;
    try {
      await Promise.all(slicesOf(pieces, byteLength).map((slice) => this.#put(slice)));
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async end(): Promise<void> {
    this.#isEndSaid = true;
    try {
      await this.#put(recordHead(RECORD.end));
    } catch (error) {
      throw this.#explain(error);
    }
  }

  release(reset: boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#rest = undefined;
    if (!reset && !this.#isEndSaid) this.#say(RECORD.end);
    this.#say(RECORD.gone);
    // What still comes is of no use, but behind it the other end says that it is gone as well.
    this.#isWanted = true;
    if (!this.#isReading) void this.#readOn();
    this.#options.onRelease?.(reset);
  }

  /** The whole session is over. */
  lost(error: unknown): void {
    if (!this.#isReleased) this.#events?.fail(this.#explain(error));
  }

  async #readOn(): Promise<void> {
    this.#isReading = true;
    try {
      while ((this.#isWanted || this.#isEndHeard) && !this.#isGoneHeard) {
        if (this.#rest === undefined) {
          const { done, value } = await this.#reader.read();
          if (done) throw new TransportError("the stream ended in the middle");
          this.#rest = value;
        }
        const view = this.#rest;
        const takenBytes = this.#parser.take(view);
        this.#rest = takenBytes < view.byteLength ? view.subarray(takenBytes) : undefined;
      }
    } catch (error) {
      if (this.#isReleased) this.#options.onGone?.();
      else if (!(this.#isEndHeard && this.#isEndSaid)) this.#events?.fail(this.#explain(error));
    } finally {
      this.#isReading = false;
    }
  }

  #heardGone(): void {
    this.#isGoneHeard = true;
    if (!this.#isReleased && !(this.#isEndHeard && this.#isEndSaid)) {
      this.#events?.fail(new TransportError(`${this.remote} closed the connection`));
    }
    this.#options.onGone?.();
  }

  #put(bytes: Uint8Array): Promise<void> {
    const written = this.#writer.write(bytes);
    written.catch(() => {});
    return written;
  }

  #say(word: number): void {
    void this.#put(recordHead(word));
  }

  #explain(error: unknown): Error {
    if (error instanceof ProtocolError) return error;
    const why = error instanceof Error ? error.message : String(error);
    return new TransportError(`The connection to ${this.remote} was lost: ${why}`, {
      cause: error,
    });
  }
}

/** A record of these bytes, as it is written. */
function slicesOf(pieces: readonly Uint8Array[], byteLength: number): Uint8Array[] {
  const head = recordHead(byteLength);
  if (byteLength <= JOINED_BYTES) return [joinBytes([head, ...pieces])];
  const slices: Uint8Array[] = [head];
  for (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; at += MOST_WRITE_BYTES) {
      slices.push(piece.subarray(at, at + MOST_WRITE_BYTES));
    }
  }
  return slices;
}
