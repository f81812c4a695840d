import { deferred } from "../../../../lib/deferred.ts";
import type { LeafDigest } from "../../../../lib/tensor/chunk.ts";
import type { Held, SinkStore, TensorSink } from "../../../../lib/tensor/sink.ts";

/** Sinks without memory of their own, whose writes wait until they are let go. */
export class PlainSinks implements SinkStore {
  /** Bytes that were given to be written, and that are written. */
  givenBytes = 0;
  writtenBytes = 0;
  /** What a sink says that it has of an earlier attempt. */
  held: Held | undefined;
  #gate = deferred<void>();

  constructor(isHeld = false) {
    if (!isHeld) this.#gate.resolve();
  }

  /** Lets every write go. */
  go(): void {
    this.#gate.resolve();
  }

  async accept(): Promise<TensorSink> {
    return {
      pace: "disk",
      held: async () => this.held,
      begin: async () => {},
      write: async (_leaf: LeafDigest, bytes: Uint8Array) => {
        this.givenBytes += bytes.byteLength;
        await this.#gate.promise;
        this.writtenBytes += bytes.byteLength;
      },
      commit: async () => {},
      release: async () => {},
    };
  }
}
