// This module runs in every runtime.
import type { TensorAddress } from "./address.ts";
import type { LeafDigest } from "./chunk.ts";
import type { TensorDescriptor } from "./descriptor.ts";
import type { SourceVersion } from "./source.ts";

/** What a sink holds already, and of which version of the source. */
export interface Held {
  readonly version: SourceVersion;
  /** One digest for each leaf that was verified when it was written. */
  readonly leaves: readonly LeafDigest[];
}

/**
 * Where one tensor goes. Only verified leaves are written to it, in any order, one call at a time
 * for a leaf; a sink that is given up without `commit` keeps what it can for the next attempt.
 */
export interface TensorSink {
  /**
   * What `write` waits for: `"memory"` nothing, `"disk"` a disk that all writes share (the session
   * then writes the most urgent first, a few at a time), `"reader"` (default) somebody who takes
   * the bytes in their own time.
   */
  readonly pace?: "memory" | "disk" | "reader";
  /** What is here from an earlier attempt; `undefined` when nothing is. */
  held(): Promise<Held | undefined>;
  /** From here on the tensor is put together from this version; leaves not in `keep` are forgotten. */
  begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void>;
  /**
   * Memory for a leaf that is about to come, where the sink has its own: the bytes are received
   * right into it, and `write` is then called with that very view.
   */
  buffer?(index: number): Uint8Array;
  /** Takes a verified leaf; the bytes may be reused once the promise is kept. */
  write(leaf: LeafDigest, bytes: Uint8Array): Promise<void>;
  /** As `write`, of bytes that belong to nobody else: the sink may keep them as they are. */
  adopt?(leaf: LeafDigest, bytes: Uint8Array): Promise<void>;
  /**
   * The tensor, whose outermost dimension was only the most that may come, turned out to be this;
   * told before its last leaf. A sink without this takes only tensors whose length is known.
   */
  settle?(descriptor: TensorDescriptor): void;
  /** All leaves are here and the root matches. */
  commit(root: Uint8Array | undefined): Promise<void>;
  /** Lets go, keeping what is verified. */
  release(): Promise<void>;
}

/** Which version of a tensor is pushed, and by whom. */
export interface PushOrigin {
  readonly version: SourceVersion;
  /** The 16 random bytes of the other end's instance: the same after a cut, new in a new process. */
  readonly instance: Uint8Array;
  /** What the other end calls itself. */
  readonly node: string;
  /** Whether the descriptor's outermost dimension is only the most that may come. */
  readonly openEnded?: boolean;
  /** Settles when the connection that the tensor comes over has ended. */
  readonly over: Promise<unknown>;
}

/** Takes what other peers push. */
export interface SinkStore {
  /** @throws {UnauthorisedError | StorageError} when the tensor is not wanted or cannot be held. */
  accept(
    address: TensorAddress,
    descriptor: TensorDescriptor,
    origin: PushOrigin,
  ): Promise<TensorSink>;
}
