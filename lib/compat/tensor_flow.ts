// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { eventTurn } from "../event_turn.ts";
import { StreamSink } from "../session/stream_sink.ts";
import type { Transfer } from "../session/transfer.ts";
import { ChunkerStream } from "../streams/chunker_stream.ts";
import type { TensorAddress } from "../tensor/address.ts";
import { joinBytes } from "../tensor/bytes.ts";
import type { TensorChunk } from "../tensor/chunk.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { TensorSink } from "../tensor/sink.ts";

/**
 * A tensor that comes in as fast as it is read, over one transfer or, when that has failed and is
 * begun again, over the next: what was read is not sent again.
 */
export class TensorFlow {
  readonly address: TensorAddress;
  readonly #sink: StreamSink;
  readonly #chunks: ReadableStreamDefaultReader<TensorChunk>;
  #transfer: Transfer;
  /** What the transfer has failed with. */
  #failure: { readonly error: unknown } | undefined;
  #reading: Promise<ReadableStreamReadResult<TensorChunk>> | undefined;
  /** Whoever waits for the next chunk. */
  #waiter: Deferred<ReadableStreamReadResult<TensorChunk>> | undefined;

  /** @param begin Makes the transfer, which goes into the flow's sink. */
  constructor(
    address: TensorAddress,
    chunkBytes: number,
    begin: (into: (descriptor: TensorDescriptor) => TensorSink) => Transfer,
  ) {
    this.address = address;
    this.#sink = new StreamSink((reason) => this.#transfer.cancel(reason));
    const chunks = this.#sink.readable.pipeThrough(new ChunkerStream({ chunkBytes }));
    this.#chunks = chunks.getReader();
    // What breaks the stream breaks the transfer, which is where it is looked at.
    this.#chunks.closed.catch(() => {});
    this.#transfer = this.resume(begin((descriptor) => this.into(descriptor)));
  }

  /** The transfer that it comes by now. */
  get transfer(): Transfer {
    return this.#transfer;
  }

  /** Where each attempt's tensor goes. */
  into(descriptor: TensorDescriptor): TensorSink {
    return this.#sink.attach(descriptor, undefined);
  }

  /** Goes on over another transfer, which is returned. */
  resume(transfer: Transfer): Transfer {
    this.#transfer = transfer;
    this.#failure = undefined;
    transfer.done.catch((error) => {
      if (this.#transfer !== transfer) return;
      this.#failure = { error };
      this.#waiter?.reject(error);
    });
    return transfer;
  }

  /**
   * The next verified chunk; `undefined` at the end.
   *
   * @throws what the transfer failed with; the chunk is still there after `resume`.
   */
  async next(): Promise<TensorChunk | undefined> {
    this.#reading ??= this.#chunks.read();
    const { done, value } = await this.#unlessFailed(this.#reading);
    this.#reading = undefined;
    if (!done) return value;
    await this.#transfer.done;
    return undefined;
  }

  /** A race with `done` would tie each chunk to a promise that lives as long as the transfer. */
  async #unlessFailed(
    reading: Promise<ReadableStreamReadResult<TensorChunk>>,
  ): Promise<ReadableStreamReadResult<TensorChunk>> {
    const waiter = deferred<ReadableStreamReadResult<TensorChunk>>();
    this.#waiter = waiter;
    reading.then(waiter.resolve, waiter.reject);
    const { error } = this.#failure ?? {};
    // What is here already goes before the failure.
    if (this.#failure) void eventTurn().then(() => waiter.reject(error));
    try {
      return await waiter.promise;
    } finally {
      this.#waiter = undefined;
    }
  }

  /** All that is left, in one piece. */
  async collect(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let chunk = await this.next(); chunk; chunk = await this.next()) {
      pieces.push(chunk.bytes);
    }
    return pieces.length === 1 ? (pieces[0] as Uint8Array) : joinBytes(pieces);
  }

  /** Nobody wants the rest. */
  cancel(reason: unknown): void {
    this.#transfer.cancel(reason);
  }
}
