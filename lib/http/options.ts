// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { sha256 as platformSha256, type Sha256 } from "../platform/sha256.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "../retry.ts";
import type { RequestOptions } from "../session/peer_options.ts";

/** How tensors are asked for over HTTP. */
export interface HttpOptions {
  /** Said as a bearer token to the origin of the URL, and to no other that it redirects to. */
  readonly token?: string;
  /** Makes the requests; default the global `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Requests under way at once; default 6, as in browsers. */
  readonly maxRequests?: number;
  /** Parts of the default retry policy to replace. */
  readonly retry?: Partial<RetryPolicy>;
  /** Parts of the default limits to replace, such as `stallTimeoutMs`. */
  readonly limits?: Partial<Limits>;
  readonly sha256?: Sha256;
  readonly clock?: Clock;
  /** 0 to 1, for jitter. */
  readonly random?: () => number;
}

/** Options of a single tensor, as those of `TensorPeer.requestTensor`; it is always asked for whole. */
export type HttpRequestOptions = Pick<
  RequestOptions,
  "into" | "version" | "root" | "priority" | "signal"
>;

/** The options with what stands for those that were left out. */
export interface HttpSetup {
  readonly token: string | undefined;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly maxRequests: number;
  readonly retry: RetryPolicy;
  readonly limits: Limits;
  readonly sha256: Sha256;
  readonly clock: Clock;
  readonly random: () => number;
}

const MAX_REQUESTS = 6;

/** @throws {RangeError} when no request at all may be made. */
export function setUpHttp(options: HttpOptions): HttpSetup {
  const { maxRequests = MAX_REQUESTS } = options;
  if (!Number.isSafeInteger(maxRequests) || maxRequests < 1) {
    throw new RangeError(`maxRequests must be a whole number from 1 on, found ${maxRequests}`);
  }
  return {
    token: options.token,
    // Not bound once: who replaces the global later is heard, and browsers want it called on its own.
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    maxRequests,
    retry: { ...DEFAULT_RETRY_POLICY, ...options.retry },
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    sha256: options.sha256 ?? platformSha256,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  };
}
