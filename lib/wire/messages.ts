// This module runs in every runtime.
import type { ErrorCode } from "../errors.ts";
import type { AddressPattern, TensorAddress } from "../tensor/address.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";

/** Whether leaves carry SHA-256 digests, or only their chunks' checksums. */
export type DigestMode = "sha256" | "none";

/** The first frame each way. Its layout never changes. */
export interface Hello {
  /** Random, new for every start of a peer: tells a peer that came back from one that restarted. */
  readonly instance: Uint8Array;
  readonly node: string;
  readonly role: string;
  /** Compressions that this peer can undo. */
  readonly codecs: readonly string[];
  /** Names the other end may ignore. */
  readonly features: readonly string[];
  /** The largest chunk this peer takes. */
  readonly maxChunkBytes: number;
  /** Bytes of chunks, before compression, that this peer takes before it says more. */
  readonly connectionCredit: number;
  /** Streams that the other end may have open at once. */
  readonly maxTransfers: number;
  /** Entries of request lists that the other end may have unanswered at once. */
  readonly maxRequests: number;
  /** What further lanes of the connection show; absent where there can be none. */
  readonly laneKey?: Uint8Array | undefined;
  /** How many lanes an accepter takes in all; 1 where it is left out. */
  readonly maxLanes?: number | undefined;
  readonly token?: string | undefined;
}

/** The last frame each way. */
export interface Goodbye {
  readonly message?: string | undefined;
}

/** A failure, in the terms of headrace's errors. */
export interface Fault {
  readonly code: ErrorCode | (string & {});
  readonly retryable: boolean;
  readonly message: string;
}

/** Asks for a tensor. */
export interface Request {
  /** The transfer's random id, the same in every attempt. */
  readonly id: Uint8Array;
  /** Counts the attempts of one transfer; the higher one fences the lower. */
  readonly epoch: number;
  readonly address: TensorAddress;
  readonly priority: number;
  readonly digest: DigestMode;
  /** The version to which the requester is bound; another one is refused. */
  readonly version?: Uint8Array | undefined;
  /** Only these bytes are wanted, from the first to before the second. */
  readonly bytes?: readonly [number, number] | undefined;
  /** Only these of the outermost dimension are wanted, from the first to before the second. */
  readonly rows?: readonly [number, number] | undefined;
}

/** Says what is about to be sent. */
export interface Offer {
  readonly id: Uint8Array;
  readonly epoch: number;
  readonly address: TensorAddress;
  readonly descriptor: TensorDescriptor;
  readonly version: Uint8Array;
  readonly priority: number;
  readonly digest: DigestMode;
  /** What the numbers in chunk heads mean, counted from 1. */
  readonly codecs: readonly string[];
  readonly chunkBytes: number;
  /** The outermost dimension, and with it the length, is the most that may come; EXTENT says the rest. */
  readonly open?: boolean | undefined;
  /** The tensor's root, in the answer to a request for a part, where the sender knows it already. */
  readonly root?: Uint8Array | undefined;
}

/** Starts the chunks of an offer. */
export interface Accept {
  /** The first credit: chunks may be sent up to this offset in the tensor. */
  readonly limit: number;
}

/** All chunks that were asked for have been sent. */
export interface Complete {
  readonly byteLength: number;
  /** The source's version after its last read. */
  readonly version: Uint8Array;
  /** The tensor's root, unless the digest mode is `none` or only a part was asked for. */
  readonly root?: Uint8Array | undefined;
  /** Chunks sent in this attempt, repeats included: with several lanes some may still be on their way. */
  readonly chunks: number;
}

/** The receiver's last word on a transfer. */
export interface Receipt {
  readonly complete: boolean;
}

/** What takes long at the sender while no chunk comes. */
export interface Phase {
  readonly phase: string;
  readonly bytes: number;
}

/** Another priority, from now on. */
export interface Reprioritise {
  readonly priority: number;
}

/** Whether a transfer is to stand still. */
export interface Pause {
  readonly paused: boolean;
}

/** What an open tensor turned out to be. */
export interface Extent {
  readonly descriptor: TensorDescriptor;
}

/** Asks to be told what changes. */
export interface Subscribe {
  readonly pattern: AddressPattern;
  /** Whether what is there already is told as well. */
  readonly initial: boolean;
}

/** Tells of one tensor that is subscribed to. */
export interface Notify {
  readonly kind: "here" | "changed" | "gone";
  /** Counts the changes of a subscription: what belongs to a lower one is old. */
  readonly change: number;
  readonly address: TensorAddress;
  readonly descriptor?: TensorDescriptor | undefined;
  readonly version?: Uint8Array | undefined;
}

/** The first frame of a further lane. */
export interface Lane {
  readonly lane: number;
  readonly key: Uint8Array;
}

/** Asks what is there. */
export interface List {
  readonly pattern: AddressPattern;
  /** Whether each entry is wanted with its root. */
  readonly roots: boolean;
}

/** Every control message by the name of its frame type. */
export interface Messages {
  hello: Hello;
  goodbye: Goodbye;
  error: Fault;
  request: Request;
  offer: Offer;
  accept: Accept;
  complete: Complete;
  receipt: Receipt;
  cancel: Fault;
  phase: Phase;
  reprioritise: Reprioritise;
  pause: Pause;
  extent: Extent;
  list: List;
  subscribe: Subscribe;
  notify: Notify;
  unsubscribe: Record<never, never>;
  lane: Lane;
}
