// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Compression } from "../codec/compression.ts";
import type { Limits } from "../limits.ts";
import type { Sha256 } from "../platform/sha256.ts";
import type { RetryPolicy } from "../retry.ts";
import type { DigestCache } from "../tensor/digest_cache.ts";
import type { SinkStore, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion, TensorStore } from "../tensor/source.ts";
import type { DigestMode, Offer } from "../wire/messages.ts";
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
}

/** Options of a single transfer. */
export interface TransferOptions {
  /** 0 to 255, default 50; low is 0, high 100, critical 200. */
  readonly priority?: number;
  /** Whether leaves carry digests; `"none"` trusts the link and the source. Default `"sha256"`. */
  readonly digest?: DigestMode;
  readonly signal?: AbortSignal;
}

/** Options of `TensorPeer.requestTensor`. */
export interface RequestOptions extends TransferOptions {
  /**
   * Where the tensor goes: `"stream"` (the default) to the transfer's `readable`, as it is read;
   * `"memory"` to the transfer's `bytes()`, at most 2 GiB; or to the sink that is made once the
   * tensor's dtype and shape are known.
   */
  readonly into?: "stream" | "memory" | ((offer: Offer) => Promise<TensorSink> | TensorSink);
  /** The version to which the request is bound; another one is an integrity error at source. */
  readonly version?: SourceVersion;
}
