// This module runs in every runtime.
import { NotFoundError } from "../errors.ts";
import {
  type AddressPattern,
  formatAddress,
  matchesAddress,
  type TensorAddress,
} from "../tensor/address.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";

import type { PushOrigin, SinkStore, TensorSink } from "../tensor/sink.ts";
import type {
  SourceVersion,
  StoreChange,
  StoreEntry,
  TensorSource,
  TensorStore,
} from "../tensor/source.ts";
import type { TypedArray } from "../tensor/typed_array.ts";
import { MAX_TENSOR_DATA_BYTES } from "../wire/frame_header.ts";
import type { LeafSink } from "./leaf_sink.ts";
import { MemorySink } from "./memory_sink.ts";
import { OpenPush } from "./open_push.ts";
import { PushRoom } from "./push_room.ts";
import { PushedTensor } from "./pushed_tensor.ts";
import { StoredSource, type StoredVersion } from "./stored_source.ts";
import { memoryTensorOf, type TensorInputOptions } from "./tensor_input.ts";
import { Watchers } from "./watchers.ts";

/** What other peers may push into a {@linkcode MemoryStore}. */
export interface MemoryStoreOptions {
  /**
   * The most bytes that everything in the store may take before a push is refused, tensors on their
   * way included; what is set is counted, and never refused. Default: 2 GiB.
   */
  readonly maxBytes?: number;
  /** The most tensors, counted likewise. Default: 65,536. */
  readonly maxTensors?: number;
}

/** A tensor in a {@linkcode MemoryStore}. */
export interface StoredTensor {
  readonly descriptor: TensorDescriptor;
  readonly version: SourceVersion;
  /** The bytes themselves, not a copy. They must not be written. */
  readonly bytes: Uint8Array;
}

interface Entry extends StoredVersion {
  readonly address: TensorAddress;
  /** Where it was received, if it was pushed; it knows its leaves' digests. */
  readonly memory: MemorySink | undefined;
}

const DEFAULT_MAX_BYTES = 2 * 1024 ** 3;
const DEFAULT_MAX_TENSORS = 65_536;
/** Pushes of unknown length that were cut and may go on, the oldest giving way. */
const MOST_OPEN_KEPT = 4;

/**
 * Tensors in memory, by their addresses: for what a program computes and others ask for, and for
 * what others push. What is read of a tensor stays what it was, also when a new version is set
 * meanwhile.
 *
 * @example
 * ```ts
 * import { MemoryStore, parseAddress, parsePattern, TensorPeer } from "headrace";
 * import { connectionPair } from "headrace/memory";
 *
 * const store = new MemoryStore();
 * store.watch(parsePattern("m"), ({ kind, address }) => console.log(kind, address.tensor));
 * store.set(parseAddress("m/w"), new Float32Array([1, 2, 3, 4]), { shape: [2, 2] });
 *
 * const [here, there] = connectionPair();
 * await using server = new TensorPeer(there, { store, sinks: store, accepted: true });
 * await using client = new TensorPeer(here);
 * console.log(await client.list());
 * ```
 */
export class MemoryStore implements TensorStore, SinkStore {
  readonly #room: PushRoom;
  readonly #entries = new Map<string, Entry>();
  /** The newest push to each address that is under way. */
  readonly #pushes = new Map<string, PushedTensor>();
  /** What came of tensors of unknown length whose push was cut. */
  readonly #openPushes = new Map<string, LeafSink>();
  readonly #watchers = new Watchers();
  #entryBytes = 0;

  /** @throws {RangeError} for a limit that is not a number from 0 on. */
  constructor(options: MemoryStoreOptions = {}) {
    const { maxBytes = DEFAULT_MAX_BYTES, maxTensors = DEFAULT_MAX_TENSORS } = options;
    for (const [name, value] of Object.entries({ maxBytes, maxTensors })) {
      if (!(value >= 0)) throw new RangeError(`${name} must be a number from 0 on, found ${value}`);
    }
    this.#room = new PushRoom(maxBytes, maxTensors);
  }

  /** Bytes of everything that is here and on its way. */
  get usedBytes(): number {
    return this.#entryBytes + this.#room.usedBytes;
  }

  /**
   * Puts a tensor at the address, as a new version. Nothing is copied: the bytes belong to the store
   * and must not change; what does change is set again, from another array.
   *
   * @throws {TypeError | RangeError} for an address that cannot be, and as {@linkcode sourceOf}.
   */
  set(
    address: TensorAddress,
    input: TypedArray | ArrayBuffer,
    options: Pick<TensorInputOptions, "dtype" | "shape"> = {},
  ): void {
    const key = formatAddress(address);
    const tensor = memoryTensorOf(input, options);
    if (!tensor) throw new TypeError("A MemoryStore takes a typed array or an ArrayBuffer");
    const { dtype, shape, bytes } = tensor;
    this.#put(key, address, createDescriptor(dtype, shape, bytes.byteLength), bytes);
  }

  /** What is at the address now. */
  get(address: TensorAddress): StoredTensor | undefined {
    const entry = this.#entries.get(formatAddress(address));
    return entry && { descriptor: entry.descriptor, version: entry.version, bytes: entry.bytes };
  }

  /** Takes the tensor away. @returns whether there was one. */
  delete(address: TensorAddress): boolean {
    const key = formatAddress(address);
    const entry = this.#entries.get(key);
    this.#room.drop(key);
    if (!entry) return false;
    this.#entries.delete(key);
    this.#entryBytes -= entry.bytes.byteLength;
    this.#watchers.tell({ kind: "gone", address: entry.address });
    return true;
  }

  /** What is there and matches, in the order in which it was first set. */
  async *list(pattern: AddressPattern): AsyncGenerator<StoreEntry, void, undefined> {
    for (const { address, descriptor, version } of [...this.#entries.values()]) {
      if (matchesAddress(pattern, address)) yield { address, descriptor, version };
    }
  }

  /**
   * Opens the tensor as it is now; it stays so for the one who opened it.
   *
   * @throws {NotFoundError} when nothing lives at the address.
   */
  async open(address: TensorAddress): Promise<TensorSource> {
    const key = formatAddress(address);
    const entry = this.#entries.get(key);
    if (!entry) throw new NotFoundError(`Nothing lives at ${key}`, { address: key });
    return new StoredSource(entry);
  }

  /**
   * Takes what another peer pushes. It is put at its address when it is complete; leaves that are
   * here already, of an earlier version or of a push that was cut, need not come.
   *
   * @throws {LimitError} when there is no room for it.
   */
  async accept(
    address: TensorAddress,
    descriptor: TensorDescriptor,
    origin?: Pick<PushOrigin, "openEnded">,
  ): Promise<TensorSink> {
    const key = formatAddress(address);
    if (origin?.openEnded) return this.#acceptOpen(key, address, descriptor);
    const { byteLength } = descriptor;
    const partial = this.#room.drop(key);
    this.#room.take(key, byteLength, {
      bytes: this.#entryBytes,
      tensors: this.#entries.size,
      isThere: this.#entries.has(key),
    });
    const isPartOfIt = partial !== undefined && isSameTensor(partial.descriptor, descriptor);
    const memory = isPartOfIt ? partial : new MemorySink(descriptor, { maxBytes: byteLength });
    const other = isPartOfIt ? undefined : this.#otherMemory(key);
    const base = other && isSameTensor(other.descriptor, descriptor) ? other : undefined;
    const push = new PushedTensor({
      memory,
      base,
      onCommit: (where) => {
        if (this.#entries.get(key)?.memory === where) return; // nothing has changed
        this.#put(key, address, descriptor, where.bytes, where);
      },
      onRelease: (isCommitted) => {
        this.#room.give(byteLength);
        if (this.#pushes.get(key) === push) this.#pushes.delete(key);
        if (!isCommitted && memory.heldCount > 0) this.#room.keep(key, memory);
      },
    });
    this.#pushes.set(key, push);
    return push;
  }

  /** A tensor whose length is seen at its end takes room leaf by leaf. */
  #acceptOpen(key: string, address: TensorAddress, descriptor: TensorDescriptor): TensorSink {
    const used = () => ({
      bytes: this.#entryBytes,
      tensors: this.#entries.size,
      isThere: this.#entries.has(key),
    });
    const partial = this.#openPushes.get(key);
    this.#openPushes.delete(key);
    this.#room.take(key, 0, used());
    return new OpenPush({
      partial,
      descriptor,
      take: (bytes) => this.#room.more(key, bytes, used()),
      onCommit: (whole, bytes) => this.#put(key, address, whole, bytes),
      onRelease: (leaves, takenBytes, isCommitted) => {
        this.#room.give(takenBytes);
        if (isCommitted || leaves.heldBytes === 0) return;
        this.#openPushes.set(key, leaves);
        const [oldest] = this.#openPushes.keys();
        if (this.#openPushes.size > MOST_OPEN_KEPT && oldest) this.#openPushes.delete(oldest);
      },
    });
  }

  /**
   * Tells of every tensor that is set, pushed or deleted from now on, right after it was.
   *
   * @returns what ends it.
   */
  watch(pattern: AddressPattern, onChange: (change: StoreChange) => void): () => void {
    return this.#watchers.add(pattern, onChange);
  }

  #put(
    key: string,
    { model, partition, tensor }: TensorAddress,
    descriptor: TensorDescriptor,
    bytes: Uint8Array,
    memory?: MemorySink,
  ): void {
    this.#room.drop(key);
    const address = { model, partition, tensor };
    const version = crypto.getRandomValues(new Uint8Array(16));
    this.#entryBytes += bytes.byteLength - (this.#entries.get(key)?.bytes.byteLength ?? 0);
    const leafDigests = bytes.byteLength <= MAX_TENSOR_DATA_BYTES ? new Map() : undefined;
    this.#entries.set(key, { address, descriptor, version, bytes, memory, leafDigests });
    this.#watchers.tell({ kind: "changed", address });
  }

  /** What is at the address, or is going there: a push may share leaves with it. */
  #otherMemory(key: string): MemorySink | undefined {
    return this.#pushes.get(key)?.memory ?? this.#entries.get(key)?.memory;
  }
}

function isSameTensor(a: TensorDescriptor, b: TensorDescriptor): boolean {
  return (
    a.dtype === b.dtype &&
    a.shape.length === b.shape.length &&
    a.shape.every((dimension, axis) => dimension === b.shape[axis])
  );
}
