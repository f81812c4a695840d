// This module runs in every runtime.
import { NotFoundError } from "../errors.ts";
import { MemorySink } from "../session/memory_sink.ts";
import { PushedTensor } from "../session/pushed_tensor.ts";
import type { Transfer } from "../session/transfer.ts";
import type { TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { SinkStore, TensorSink } from "../tensor/sink.ts";
import { TensorFlow } from "./tensor_flow.ts";

/** What waiting costs beside the bytes: many empty tensors are something too. */
const OVERHEAD_BYTES = 256;

/** What {@linkcode Incoming} tells of. */
export interface IncomingOptions {
  /** What may wait in memory; what is beyond comes as it is read. */
  readonly maxBytes: number;
  readonly chunkBytes: () => number;
  /** The transfer of a tensor that comes now. */
  readonly transferOf: (address: TensorAddress) => Transfer;
  /** A tensor is here: all of it in memory, or as a flow. */
  readonly onTensor: (
    transfer: Transfer,
    descriptor: TensorDescriptor,
    tensor: WaitingTensor | TensorFlow,
  ) => void;
}

/** A tensor that waits in memory. */
export class WaitingTensor {
  #bytes: Uint8Array | undefined;
  readonly #onTaken: () => void;

  constructor(bytes: Uint8Array, onTaken: () => void) {
    this.#bytes = bytes;
    this.#onTaken = onTaken;
  }

  /** Whether somebody has them. */
  get isTaken(): boolean {
    return this.#bytes === undefined;
  }

  /**
   * The bytes; they count no longer as waiting.
   *
   * @throws {NotFoundError} when somebody has taken them before.
   */
  take(): Uint8Array {
    const bytes = this.#bytes;
    if (!bytes) throw new NotFoundError("The tensor was taken before");
    this.#bytes = undefined;
    this.#onTaken();
    return bytes;
  }
}

/**
 * Takes what the other end pushes. A little waits in memory, as it would in a socket, so that two
 * programs may both send before either reads; the rest moves only while it is read.
 */
export class Incoming implements SinkStore {
  readonly #options: IncomingOptions;
  #usedBytes = 0;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  async accept(address: TensorAddress, descriptor: TensorDescriptor): Promise<TensorSink> {
    const { maxBytes, chunkBytes, transferOf, onTensor } = this.#options;
    const transfer = transferOf(address);
    const bytes = descriptor.byteLength + OVERHEAD_BYTES;
    if (this.#usedBytes + bytes > maxBytes) {
      const flow = new TensorFlow(address, chunkBytes(), () => transfer);
      onTensor(transfer, descriptor, flow);
      return flow.into(descriptor);
    }
    this.#usedBytes += bytes;
    const give = () => {
      this.#usedBytes -= bytes;
    };
    return new PushedTensor({
      memory: new MemorySink(descriptor),
      onCommit: (memory) => onTensor(transfer, descriptor, new WaitingTensor(memory.bytes, give)),
      onRelease: (isCommitted) => {
        if (!isCommitted) give();
      },
    });
  }
}
