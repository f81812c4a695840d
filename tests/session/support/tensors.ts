// Tensors, stores and sinks that count what is done with them.
import { NotFoundError } from "../../../lib/errors.ts";
import { ByteSource } from "../../../lib/session/byte_source.ts";
import { MemorySink } from "../../../lib/session/memory_sink.ts";
import {
  type AddressPattern,
  formatAddress,
  matchesAddress,
  type TensorAddress,
} from "../../../lib/tensor/address.ts";
import type { TensorDescriptor } from "../../../lib/tensor/descriptor.ts";
import type { TensorSink } from "../../../lib/tensor/sink.ts";
import type { StoreEntry, TensorSource, TensorStore } from "../../../lib/tensor/source.ts";
import { patterned } from "../../streams/support.ts";

export const LEAF: number = 1024 * 1024;
export const WEIGHTS: TensorAddress = { model: "m", partition: "default", tensor: "w" };

/** Half of it noise, half of it runs, so that compression has both. */
export function tensorBytes(byteLength: number): Uint8Array {
  const bytes = patterned(byteLength);
  for (let at = 0; at < byteLength; at += 128 * 1024) {
    bytes.fill(at / 1024, at, Math.min(at + 64 * 1024, byteLength));
  }
  return bytes;
}

/** A source of bytes that can change, that must be read, and that is counted. */
export class TestSource implements TensorSource {
  readonly descriptor: TensorDescriptor;
  bytes: Uint8Array;
  versionNumber: number;
  /** Called before each read, which it may hold up. */
  onRead: (byteOffset: number) => Promise<void> | void = () => {};
  opened = 0;
  closed = 0;
  readBytes = 0;

  constructor(bytes: Uint8Array, versionNumber = 1) {
    this.bytes = bytes;
    this.versionNumber = versionNumber;
    this.descriptor = new ByteSource(bytes, { dtype: "U8", shape: [bytes.byteLength] }).descriptor;
  }

  async version(): Promise<Uint8Array> {
    return Uint8Array.of(this.versionNumber);
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    await this.onRead(byteOffset);
    this.readBytes += into.byteLength;
    into.set(this.bytes.subarray(byteOffset, byteOffset + into.byteLength));
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

/** A store of sources by address. */
export function storeOf(...sources: [TensorAddress, TensorSource][]): TensorStore {
  return {
    async *list(pattern: AddressPattern): AsyncGenerator<StoreEntry> {
      for (const [address, source] of sources) {
        if (!matchesAddress(pattern, address)) continue;
        yield { address, descriptor: source.descriptor, version: await source.version() };
      }
    },
    async open(address) {
      const name = formatAddress(address);
      const found = sources.find(([one]) => formatAddress(one) === name);
      if (!found) throw new NotFoundError(`There is no ${name} here`, { address: name });
      if (found[1] instanceof TestSource) found[1].opened++;
      return found[1];
    },
  };
}

/** A memory sink that counts, and that can be held up. */
export class TestSink extends MemorySink {
  begun = 0;
  committed_ = 0;
  released = 0;
  readonly written: number[] = [];
  onWrite: (index: number) => Promise<void> | void = () => {};

  override async begin(...given: Parameters<TensorSink["begin"]>): Promise<void> {
    this.begun++;
    await super.begin(...given);
  }

  override async write(...given: Parameters<TensorSink["write"]>): Promise<void> {
    await this.onWrite(given[0].index);
    this.written.push(given[0].index);
    await super.write(...given);
  }

  override async commit(root: Uint8Array | undefined): Promise<void> {
    this.committed_++;
    await super.commit(root);
  }

  override async release(): Promise<void> {
    this.released++;
    await super.release();
  }
}
