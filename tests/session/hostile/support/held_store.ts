import { deferred } from "../../../../lib/deferred.ts";
import type { TensorAddress } from "../../../../lib/tensor/address.ts";
import type { TensorDescriptor } from "../../../../lib/tensor/descriptor.ts";
import type { SinkStore, TensorSink } from "../../../../lib/tensor/sink.ts";
import type { StoreEntry, TensorSource, TensorStore } from "../../../../lib/tensor/source.ts";
import { TestSink, TestSource } from "../../support/tensors.ts";

/** A store that opens nothing until it is told to, and counts what is asked of it. */
export class HeldStore implements TensorStore, SinkStore {
  readonly sources: TestSource[] = [];
  readonly sinks: TestSink[] = [];
  /** Calls of `open`, `accept`, `list` and `watch` that came. */
  readonly calls = { open: 0, accept: 0, list: 0, watch: 0 };
  /** Those who watch now. */
  watching = 0;
  readonly #bytes: Uint8Array;
  readonly #gate = deferred<void>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Opens everything from now on. */
  go(): void {
    this.#gate.resolve();
  }

  async *list(): AsyncGenerator<StoreEntry> {
    this.calls.list++;
    await this.#gate.promise;
    for (const tensor of ["a", "b"]) {
      const { descriptor } = new TestSource(this.#bytes);
      yield {
        address: { model: "m", partition: "p", tensor },
        descriptor,
        version: Uint8Array.of(1),
      };
    }
  }

  watch(): () => void {
    this.calls.watch++;
    this.watching++;
    return () => {
      this.watching--;
    };
  }

  async open(_address: TensorAddress): Promise<TensorSource> {
    this.calls.open++;
    await this.#gate.promise;
    const source = new TestSource(this.#bytes);
    this.sources.push(source);
    return source;
  }

  async accept(_address: TensorAddress, descriptor: TensorDescriptor): Promise<TensorSink> {
    this.calls.accept++;
    await this.#gate.promise;
    const sink = new TestSink(descriptor);
    this.sinks.push(sink);
    return sink;
  }
}
