// Sources and sinks that know whether everything that was taken of them has been given back.
import { NotFoundError, StorageError } from "../../../lib/errors.ts";
import { ByteSource } from "../../../lib/session/byte_source.ts";
import { MemorySink } from "../../../lib/session/memory_sink.ts";
import { formatAddress, type TensorAddress } from "../../../lib/tensor/address.ts";
import type { LeafDigest } from "../../../lib/tensor/chunk.ts";
import type { TensorDescriptor } from "../../../lib/tensor/descriptor.ts";
import type { Held, SinkStore, TensorSink } from "../../../lib/tensor/sink.ts";
import type { SourceVersion, TensorSource, TensorStore } from "../../../lib/tensor/source.ts";

/** A source of bytes, by views of them or by copies that take their time. */
export function sourceOf(bytes: Uint8Array, version: number, hasView: boolean): TensorSource {
  const tensor = { dtype: "U8", shape: [bytes.byteLength] } as const;
  const source = new ByteSource(bytes, tensor, versionOf(version));
  if (hasView) return source;
  return {
    descriptor: source.descriptor,
    version: () => source.version(),
    read: (byteOffset, into) => source.read(byteOffset, into),
  };
}

/** The version of the tensor of this number. */
export function versionOf(number: number): SourceVersion {
  return Uint8Array.of(number & 255, number >> 8);
}

/** Tensors by address. */
export class CountedStore implements TensorStore {
  readonly #sources = new Map<string, TensorSource>();
  /** Sources that were handed out and not closed yet. */
  openSources = 0;

  add(address: TensorAddress, source: TensorSource): void {
    this.#sources.set(formatAddress(address), source);
  }

  async *list(): AsyncGenerator<never> {}

  async open(address: TensorAddress): Promise<TensorSource> {
    const name = formatAddress(address);
    const source = this.#sources.get(name);
    if (!source) throw new NotFoundError(`There is no ${name} here`, { address: name });
    this.openSources++;
    const close = async () => {
      this.openSources--;
    };
    const view = source.view?.bind(source);
    return {
      descriptor: source.descriptor,
      version: () => source.version(),
      read: (byteOffset, into) => source.read(byteOffset, into),
      ...(view && { view }),
      close,
    };
  }
}

/** Takes pushes into memory; a later attempt at a tensor fences the one before it. */
export class CountedSinks implements SinkStore {
  readonly #tensors = new Map<string, MemorySink>();
  readonly #holders = new Map<string, FencedSink>();
  /** Sinks that were handed out and not released yet. */
  held = 0;

  async accept(address: TensorAddress, descriptor: TensorDescriptor): Promise<TensorSink> {
    const name = formatAddress(address);
    const known = this.#tensors.get(name);
    const memory = known ?? new MemorySink(descriptor);
    this.#tensors.set(name, memory);
    this.#holders.get(name)?.fence();
    this.held++;
    const sink = new FencedSink(memory, () => {
      this.held--;
    });
    this.#holders.set(name, sink);
    return sink;
  }

  /** The tensor, once it is committed. */
  bytesOf(address: TensorAddress): Uint8Array | undefined {
    const memory = this.#tensors.get(formatAddress(address));
    return memory?.committed ? memory.bytes : undefined;
  }
}

/** One attempt's hold of a tensor: of no further use once another attempt has it. */
export class FencedSink implements TensorSink {
  readonly #memory: MemorySink;
  readonly #onRelease: () => void;
  #isFenced = false;
  #isReleased = false;

  constructor(memory: MemorySink, onRelease: () => void) {
    this.#memory = memory;
    this.#onRelease = onRelease;
  }

  fence(): void {
    this.#isFenced = true;
  }

  async held(): Promise<Held | undefined> {
    this.#check();
    return this.#memory.held();
  }

  async begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    this.#check();
    return this.#memory.begin(version, keep);
  }

  async write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    this.#check();
    return this.#memory.write(leaf, bytes);
  }

  async commit(root: Uint8Array | undefined): Promise<void> {
    this.#check();
    return this.#memory.commit(root);
  }

  async release(): Promise<void> {
    if (!this.#isReleased) this.#onRelease();
    this.#isReleased = true;
  }

  #check(): void {
    if (this.#isReleased) throw new TypeError("A sink was used after it was released");
    if (this.#isFenced) {
      throw new StorageError("Another attempt has the tensor now", { retryable: true });
    }
  }
}
