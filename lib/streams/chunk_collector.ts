// This module runs in every runtime.
import { ProtocolError } from "../errors.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import type { ChunkHead } from "../wire/chunk_head.ts";

/**
 * Puts the fragments of one stream's chunks together. This is the one copy that a received byte
 * goes through: from the link's buffer into the chunk's.
 */
export class ChunkCollector {
  readonly #codecs: readonly string[];
  readonly #allocate: (head: ChunkHead) => Uint8Array;
  #head: ChunkHead | undefined;
  #bytes: Uint8Array = new Uint8Array();
  #filled = 0;
  /** Where the fragment that is coming in ends. */
  #fragmentEnd = 0;

  /**
   * @param codecs The names that the numbers in chunk heads stand for, counted from 1.
   * @param allocate Gives the buffer of `head.encodedBytes` bytes that a new chunk goes into.
   */
  constructor(
    codecs: readonly string[],
    allocate: (head: ChunkHead) => Uint8Array = (head) => new Uint8Array(head.encodedBytes),
  ) {
    this.#codecs = codecs;
    this.#allocate = allocate;
  }

  /** Whether a chunk is here in part. */
  get isOpen(): boolean {
    return this.#head !== undefined;
  }

  /**
   * A fragment begins.
   *
   * @throws {ProtocolError} when it is not the next of the chunk that is open, or names no codec of the offer.
   */
  begin(head: ChunkHead, dataBytes: number): void {
    if (head.codec > this.#codecs.length) {
      throw new ProtocolError(
        `The peer used codec ${head.codec} of ${this.#codecs.length} offered`,
      );
    }
    const open = this.#head;
    if (head.fragmentOffset !== this.#filled || (open && !isSameChunk(open, head))) {
      throw new ProtocolError(
        `The peer sent byte ${head.fragmentOffset} of the chunk at ${head.byteOffset} where byte ${this.#filled} of the chunk at ${open?.byteOffset ?? head.byteOffset} was next`,
      );
    }
    if (!open) {
      this.#head = head;
      this.#bytes = this.#allocate(head);
    }
    this.#fragmentEnd = this.#filled + dataBytes;
  }

  /** Bytes of the fragment, as they come; gives the chunk once it is whole. */
  data(bytes: Uint8Array): TensorChunk | undefined {
    const head = this.#head;
    if (!head || this.#filled + bytes.byteLength > this.#fragmentEnd) {
      throw new ProtocolError("The peer sent chunk data outside a fragment");
    }
    this.#bytes.set(bytes, this.#filled);
    this.#filled += bytes.byteLength;
    if (this.#filled < head.encodedBytes) return undefined;
    const chunk: TensorChunk = {
      byteOffset: head.byteOffset,
      rawBytes: head.rawBytes,
      bytes: this.#bytes,
      codec: head.codec === 0 ? "none" : (this.#codecs[head.codec - 1] as string),
      checksum: head.checksum,
    };
    this.#head = undefined;
    this.#filled = 0;
    return chunk;
  }
}

function isSameChunk(a: ChunkHead, b: ChunkHead): boolean {
  return (
    a.byteOffset === b.byteOffset &&
    a.rawBytes === b.rawBytes &&
    a.encodedBytes === b.encodedBytes &&
    a.checksum === b.checksum &&
    a.codec === b.codec
  );
}
