// This module runs in every runtime.
import { NotFoundError } from "../errors.ts";
import type { Transfer } from "../session/transfer.ts";
import { ProtocolStream, type StreamParts } from "./protocol_stream.ts";

/** Streams that are over and still known. */
const MOST_OVER = 1000;

/** The streams of a protocol by their ids. */
export class StreamTable {
  readonly #streams = new Map<string, ProtocolStream>();

  /** All of them, in the order in which they began. */
  get all(): readonly ProtocolStream[] {
    return [...this.#streams.values()];
  }

  /** @throws {NotFoundError} for an id that is not known. */
  get(id: string): ProtocolStream {
    const stream = this.#streams.get(id);
    if (!stream) throw new NotFoundError(`There is no transfer ${id}`);
    return stream;
  }

  /** Begins with this transfer, under its id. */
  add(transfer: Transfer, parts: StreamParts): ProtocolStream {
    const stream = new ProtocolStream(transfer, parts);
    this.#streams.set(stream.id, stream);
    if (this.#streams.size > MOST_OVER) this.#forget();
    return stream;
  }

  /** Lets go of the oldest that are over and that nobody can read. */
  #forget(): void {
    for (const [id, stream] of this.#streams) {
      if (this.#streams.size <= MOST_OVER) return;
      if (stream.isSpent) this.#streams.delete(id);
    }
  }
}
