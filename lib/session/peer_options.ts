// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Compression } from "../codec/compression.ts";
import type { Limits } from "../limits.ts";
import type { Sha256 } from "../platform/sha256.ts";
import type { RetryPolicy } from "../retry.ts";
import type { DigestCache } from "../tensor/digest_cache.ts";
import type { SinkStore, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion, TensorStore } from "../tensor/source.ts";
import type { DigestMode, Hello, Offer } from "../wire/messages.ts";
import type { AttemptFences } from "./attempt_fences.ts";
import type { TensorPeer } from "./peer.ts";
import type { PeerRegistry } from "./peer_registry.ts";
import type { Scheduler } from "./scheduler.ts";
import type { TensorInputOptions } from "./tensor_input.ts";
import type { Transfer } from "./transfer.ts";

/** Options of a `TensorPeer`. */
export interface TensorPeerOptions {
  /** What the other end may list and request; nothing where left out. */
  readonly store?: TensorStore;
  /** Takes what the other end pushes; pushes are refused where left out. */
  readonly sinks?: SinkStore;
  /** Whether the given connection was accepted from a listener rather than dialled; default `false`. */
  readonly accepted?: boolean;
  /** Names this end to the other; default `"headrace"`. */
  readonly node?: string;
  /**
   * 16 random bytes that tell this end from all others, over all its connections; default: new ones.
   * The peers of a `PeerHost` share theirs.
   */
  readonly instance?: Uint8Array;
  /** `worker`, `coordinator` or `mixed` (default). */
  readonly role?: string;
  /** Said to the other end when dialling. */
  readonly token?: string;
  /** Lets a peer in by its token; default: everybody. Compare in constant time. */
  readonly authorise?: (token: string | undefined) => boolean;
  /** Uncompressed bytes of a chunk, 1 KiB to 64 MiB; default 1 MiB. */
  readonly chunkBytes?: number;
  /** The codecs for chunks, the preferred first; `[]` switches compression off. Default `[deflate]`. */
  readonly codecs?: readonly Compression[];
  /** Chunks below this length are sent raw; default 4096. */
  readonly compressionThresholdBytes?: number;
  /**
   * `false` moves each tensor as one uncompressed chunk that begins anew after a cut, and refuses
   * tensors over 64 MiB; default `true`.
   */
  readonly streaming?: boolean;
  /** What transfers carry that do not say it themselves; default `"sha256"`. */
  readonly digest?: DigestMode;
  /** Parts of the default limits to replace. */
  readonly limits?: Partial<Limits>;
  /** Parts of the default retry policy to replace. */
  readonly retry?: Partial<RetryPolicy>;
  /** Digests of what was hashed, to be shared by the peers of one store. */
  readonly digests?: DigestCache;
  readonly sha256?: Sha256;
  readonly clock?: Clock;
  /** 0 to 1, for jitter. */
  readonly random?: () => number;
  /** Told of every transfer that the other end begins. */
  readonly onTransfer?: (transfer: Transfer) => void;
  /** Told once for each connection what the other end said of itself, before it is answered. */
  readonly onHello?: (hello: Hello) => void;
  /**
   * Decides what is read and sent next; made twice for each connection. Default: a
   * `PriorityScheduler`.
   */
  readonly scheduler?: () => Scheduler;
  /**
   * The attempts at transfers that the other end begins, to be shared by the peers of one process:
   * a newer attempt then ends an older one over another connection. Default: the peer's own.
   */
  readonly fences?: AttemptFences;
  /**
   * For an accepted connection that was lost: gives the peer over the other end's next one, when
   * that comes. What this end began goes on over that. A `PeerHost` sees to it.
   */
  readonly successor?: (signal: AbortSignal) => Promise<TensorPeer>;
  /** Where this peer and its transfers can be looked at, together with others. Default: nowhere. */
  readonly registry?: PeerRegistry;
}

/** Options of a single transfer. */
export interface TransferOptions {
  /** 0 to 255, default 50; low is 0, high 100, critical 200. */
  readonly priority?: number;
  /** Whether leaves carry digests; `"none"` trusts the link and the source. Default: the peer's. */
  readonly digest?: DigestMode;
  readonly signal?: AbortSignal;
  /** How long the transfer may take in all; it is then cancelled with a `TimeoutError`. */
  readonly deadlineMs?: number;
}

/** Options of `TensorPeer.requestTensor`. */
export interface RequestOptions extends TransferOptions {
  /**
   * Where the tensor goes: `"stream"` (the default) to the transfer's `readable`, as it is read;
   * `"memory"` to the transfer's `bytes()`, at most 2 GiB; to a store, as if it were pushed there;
   * or to the sink that is made once the tensor's dtype and shape are known.
   */
  readonly into?:
    | "stream"
    | "memory"
    | SinkStore
    | ((offer: Offer) => Promise<TensorSink> | TensorSink);
  /** The version to which the request is bound; another one is an integrity error at source. */
  readonly version?: SourceVersion;
  /** The root that the tensor must have, from somebody trusted; another one is an integrity error. */
  readonly root?: Uint8Array;
  /** Only these of the outermost dimension: from the first to before the second. */
  readonly rows?: readonly [number, number];
  /** Only these bytes: from the first to before the second. */
  readonly bytes?: readonly [number, number];
}

/** Options of `TensorPeer.streamTensor`: beside those of every transfer, what a tensor without a dtype is. */
export interface StreamOptions extends TransferOptions, TensorInputOptions {}

/** Options of `TensorPeer.prefetch`; the default priority is 0. */
export interface PrefetchOptions extends Omit<TransferOptions, "deadlineMs"> {}

/** Options of `TensorPeer.subscribe`. */
export interface SubscribeOptions {
  /** Whether what is there already is told as well; default `false`. */
  readonly initial?: boolean;
  /** Fetches each new version at once, by these options; left out, changes are only told. */
  readonly fetch?: Omit<RequestOptions, "version" | "root">;
  /** Ends the subscription, with the signal's reason. */
  readonly signal?: AbortSignal;
}
