// This module runs in every runtime.
/**
 * A store's tensors by plain HTTP, for browsers, curl and CDNs, as a fetch-style handler.
 *
 * @module
 */
import { NotFoundError } from "../errors.ts";
import { bearerToken, judgeRequest, type OriginRules } from "../origin_rules.ts";
import { sha256 } from "../platform/sha256.ts";
import { BufferPool } from "../session/buffer_pool.ts";
import { LeafDigests } from "../session/leaf_digests.ts";
import type { PeerRegistry } from "../session/peer_registry.ts";
import {
  checkAddress,
  formatAddress,
  parsePattern,
  type TensorAddress,
} from "../tensor/address.ts";
import { toHex } from "../tensor/bytes.ts";
import { DigestCache } from "../tensor/digest_cache.ts";
import { DIGEST_BYTES } from "../tensor/merkle.ts";
import type { SourceVersion, TensorSource, TensorStore } from "../tensor/source.ts";
import { faultOf } from "../wire/fault.ts";
import type { Fault } from "../wire/messages.ts";
import { type BodyWatch, bodyOf, digestsBodyOf } from "./http_body.ts";
import { checkConditions } from "./http_conditions.ts";
import { modelsBodyOf, tensorsBodyOf } from "./http_listing.ts";
import { type ByteRange, parseRange } from "./http_range.ts";

export { type OriginRules, type RequestOrigin, whyRefused } from "../origin_rules.ts";
export { type ByteRange, parseRange } from "./http_range.ts";

/** What is served, and to whom. */
export interface HandlerOptions extends OriginRules {
  readonly store: TensorStore;
  /** Lets a request in by its bearer token; default: everybody. Compare in constant time. */
  readonly authorise?: (token: string | undefined) => boolean;
  /** Digests of what was hashed, to be shared with the peers of the same store. */
  readonly digests?: DigestCache;
  /** Counts the bodies that are given, for a status that shows them. */
  readonly registry?: PeerRegistry;
  /** Told of each failure of an answer: whoever asked learns no more of the store than that it failed. */
  readonly onError?: (error: unknown) => void;
}

/** What follows a tensor's URL and names its leaves' digests. */
const LEAVES = "leaves.sha256";
const METHODS = "GET, HEAD, OPTIONS";
const STATUS: Readonly<Record<string, number>> = { not_found: 404, unauthorised: 401, limit: 413 };
/** What a page of another origin may see, once it is let in. */
const EXPOSED =
  "Accept-Ranges, Content-Length, Content-Range, ETag, Headrace-Dtype, Headrace-Shape, Headrace-Version";

/**
 * Makes a handler that answers `GET` and `HEAD` of `/MODEL/PARTITION/TENSOR`, each name
 * percent-encoded, with the tensor's bytes: one `Range` at a time, a strong `ETag` from the
 * source's version, `If-Range`, `If-Match` and `If-None-Match`. `headrace-dtype`, `headrace-shape`
 * and `headrace-version` say what it is. `.../TENSOR/leaves.sha256` has the SHA-256 of each leaf of
 * 1 MiB, 32 bytes each, in order, under the same `ETag`: what came through a cache can be verified.
 *
 * `/` lists the models, `{"models":["NAME", ...]}`; `/MODEL` and `/MODEL/PARTITION` what is there, in
 * the order in which files hold it: `{"tensors":[{"partition","tensor","dtype","shape","byteLength",
 * "version"}, ...]}`. Each item stands on a line of its own. A list that cannot be read to its end
 * says so in an `error` beside it.
 *
 * A body is read from the store only as fast as it is taken. A failure is a JSON object of `code`,
 * `message` and whether it is `retryable`. Requests for another host, and of pages of origins that are not named, get 403. Names
 * that are `.` or `..` cannot be asked for: a URL has none such.
 *
 * @example
 * ```ts
 * import { MemoryStore } from "headrace";
 * import { createHandler } from "headrace/http";
 *
 * const store = new MemoryStore();
 * const address = { model: "m", partition: "default", tensor: "w" };
 * store.set(address, new Float32Array([1, 2, 3, 4]), { shape: [2, 2] });
 * const handler = createHandler({ store });
 *
 * const headers = { range: "bytes=4-11" };
 * const response = await handler(new Request("http://localhost/m/default/w", { headers }));
 * console.log(response.status, response.headers.get("content-range")); // 206 bytes 4-11/16
 * console.log(new Float32Array(await response.arrayBuffer())); // Float32Array(2) [ 2, 3 ]
 * ```
 */
export function createHandler(options: HandlerOptions): (request: Request) => Promise<Response> {
  const { store, authorise, registry, onError, digests = new DigestCache() } = options;
  const watch: BodyWatch = { meter: registry?.responses, onError };
  const buffers = new BufferPool(2);

  async function answer(request: Request, headers: Headers): Promise<Response> {
    const { url, method } = request;
    const { pathname } = new URL(url);
    const list = listAt(pathname);
    if (list) {
      headers.set("content-type", "application/json");
      const body = await list(store, onError);
      if (method === "GET") return new Response(body, { headers });
      await body.cancel();
      return new Response(null, { headers });
    }
    const { address, isLeaves } = parsePath(pathname);
    const source = await store.open(address);
    let isGiven = false;
    try {
      const version = await source.version();
      describe(headers, source, version);
      const { status, mayBePart } = checkConditions(request.headers, headers.get("etag") ?? "");
      if (status !== 200) return new Response(null, { status, headers });
      const isRead = method === "GET";
      if (isLeaves) {
        const key = formatAddress(address);
        const leaves = new LeafDigests({ source, version, key, cache: digests, sha256, buffers });
        headers.set("content-length", String(DIGEST_BYTES * leaves.leafTotal));
        isGiven = isRead;
        const body = isRead ? digestsBodyOf(source, version, leaves, watch) : null;
        return new Response(body, { headers });
      }
      const { byteLength } = source.descriptor;
      // RFC 9110, section 14.2: no method but GET has ranges.
      const asked = isRead && mayBePart ? request.headers.get("range") : null;
      const range = parseRange(asked, byteLength);
      if (range === "unsatisfiable") {
        headers.set("content-range", `bytes */${byteLength}`);
        return new Response(null, { status: 416, headers });
      }
      const { from, end }: ByteRange = range ?? { from: 0, end: byteLength };
      if (range) headers.set("content-range", `bytes ${from}-${end - 1}/${byteLength}`);
      headers.set("content-length", String(end - from));
      isGiven = isRead;
      const body = isRead ? bodyOf(source, version, { from, end }, watch) : null;
      return new Response(body, { status: range ? 206 : 200, headers });
    } finally {
      if (!isGiven) await source.close?.();
    }
  }

  return async (request) => {
    const { headers, why } = judgeRequest(request, options);
    headers.set("cache-control", "no-cache, no-transform");
    if (why !== undefined) return failed(403, unauthorised(why), headers);
    if (request.headers.has("origin")) headers.set("access-control-expose-headers", EXPOSED);
    if (request.method === "OPTIONS") {
      headers.set("access-control-allow-methods", METHODS);
      headers.set(
        "access-control-allow-headers",
        "Authorization, If-Match, If-None-Match, If-Range, Range",
      );
      return new Response(null, { status: 204, headers });
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      headers.set("allow", METHODS);
      const message = `${request.method} is not known here`;
      return failed(405, { code: "protocol", retryable: false, message }, headers);
    }
    const token = bearerToken(request);
    if (!(authorise?.(token) ?? true)) {
      headers.set("www-authenticate", "Bearer");
      const what = token === undefined ? "A token is needed" : "The token is not the right one";
      return failed(401, unauthorised(what), headers);
    }
    try {
      return await answer(request, headers);
    } catch (error) {
      onError?.(error);
      const fault = faultOf(error);
      return failed(STATUS[fault.code] ?? 500, fault, headers);
    }
  };
}

/** What gives the list of a path that names no tensor: of models, of a model, or of a partition. */
function listAt(
  path: string,
):
  | ((store: TensorStore, onError: BodyWatch["onError"]) => Promise<ReadableStream<Uint8Array>>)
  | undefined {
  const [, ...names] = path.replace(/\/$/, "").split("/");
  if (names.length > 2 || names.includes("")) return undefined;
  if (names.length === 0) return async (store, onError) => modelsBodyOf(store, onError);
  // In a pattern a star stands for anything, in a path for itself.
  const pattern = names.join("/").replaceAll("*", "%2A");
  return async (store, onError) => {
    try {
      return await tensorsBodyOf(store, parsePattern(pattern), onError);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new NotFoundError("The path names nothing that can be a model", { cause });
    }
  };
}

/** @throws {NotFoundError} for a path that is none of a tensor. */
function parsePath(path: string): { address: TensorAddress; isLeaves: boolean } {
  const [, model, partition, tensor, leaves, ...rest] = path.split("/");
  const isLeaves = leaves === LEAVES;
  const isKnown = model && partition && tensor && (isLeaves || !leaves) && rest.length === 0;
  if (!isKnown) throw new NotFoundError("A tensor's path is /MODEL/PARTITION/TENSOR");
  try {
    const [a, b, c] = [model, partition, tensor].map(decodeURIComponent) as [
      string,
      string,
      string,
    ];
    return { address: checkAddress({ model: a, partition: b, tensor: c }), isLeaves };
  } catch (cause) {
    throw new NotFoundError("The path names nothing that can be a tensor", { cause });
  }
}

function describe(headers: Headers, { descriptor }: TensorSource, version: SourceVersion): void {
  const { dtype, shape } = descriptor;
  headers.set("content-type", "application/octet-stream");
  headers.set("accept-ranges", "bytes");
  headers.set("etag", `"${toHex(version)}"`);
  headers.set("headrace-dtype", dtype);
  headers.set("headrace-shape", shape.join(","));
  headers.set("headrace-version", toHex(version));
}

const unauthorised = (message: string): Fault => ({
  code: "unauthorised",
  retryable: false,
  message,
});

function failed(status: number, fault: Fault, headers: Headers): Response {
  headers.set("content-type", "application/json");
  headers.delete("content-length");
  return new Response(`${JSON.stringify(fault)}\n`, { status, headers });
}
