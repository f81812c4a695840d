// This module runs in every runtime.
import type { AddressPattern, TensorAddress } from "./address.ts";
import type { LeafRange } from "./bitmap.ts";
import type { TensorDescriptor } from "./descriptor.ts";

/**
 * Says whether two reads saw the same thing: opaque, at most 32 bytes, equal only while the source
 * has not changed. A file's comes from its device, inode, size and times; a bucket's from its etag.
 */
export type SourceVersion = Uint8Array;

/** A tensor that can be read, any part of it, any number of times. */
export interface TensorSource {
  readonly descriptor: TensorDescriptor;
  /** What the source's version is now; asked before the first read and after the last. */
  version(): Promise<SourceVersion>;
  /**
   * Fills `into` with the bytes from `byteOffset` on.
   * @throws {IntegrityError} at source, when the bytes are not there any more.
   */
  read(byteOffset: number, into: Uint8Array): Promise<void>;
  /** The bytes themselves, where they are in memory already; `read` is then not called. */
  view?(byteOffset: number, byteLength: number): Uint8Array;
  /**
   * As `read`, but gives bytes that the source has read into memory of its own, which saves a copy.
   * They stay what they are, and must not be written.
   */
  lend?(byteOffset: number, byteLength: number): Promise<Uint8Array>;
  /**
   * Waits until these bytes are there to be read: for a source that others fill in their own time.
   * Reading them is then not held up by anybody.
   */
  ready?(byteOffset: number, byteLength: number): Promise<void>;
  /**
   * Whether the outermost dimension of the descriptor is only the most that may come; `peekEnd`
   * then tells where it ends.
   */
  readonly isOpenEnded?: boolean;
  /**
   * Makes sure that a byte past `byteOffset` is there, or that none comes.
   *
   * @returns the tensor's length, once that is known.
   */
  peekEnd?(byteOffset: number): Promise<number | undefined>;
  /**
   * Whether bytes come once, in their order, and are kept until they are acknowledged: nothing is
   * then read that is not to be sent at once.
   */
  readonly isReadOnce?: boolean;
  /** These leaves are safe at the other end: a source that cannot be read again may let go of them. */
  acknowledged?(ranges: readonly LeafRange[]): void;
  /** The digests of what has been hashed, where the source keeps them itself. */
  readonly leafDigests?: Map<number, Uint8Array> | undefined;
  /** Gives back what the source holds open. */
  close?(): Promise<void>;
}

/** One line of a listing. */
export interface StoreEntry {
  readonly address: TensorAddress;
  readonly descriptor: TensorDescriptor;
  readonly version: SourceVersion;
}

/** What has become of a tensor in a store. */
export interface StoreChange {
  /** Whether there is a new version, the first one included, or none any more. */
  readonly kind: "changed" | "gone";
  readonly address: TensorAddress;
}

/** Where a peer's tensors come from. */
export interface TensorStore {
  /** What is there and matches, in the order in which a file holds it. */
  list(pattern: AddressPattern): AsyncIterable<StoreEntry>;
  /**
   * Opens one tensor for reading.
   * @throws {NotFoundError} when nothing lives there.
   */
  open(address: TensorAddress): Promise<TensorSource>;
  /**
   * Tells of every change, from now on, to what matches, after it has happened.
   *
   * @returns what ends it.
   */
  watch?(pattern: AddressPattern, onChange: (change: StoreChange) => void): () => void;
}
