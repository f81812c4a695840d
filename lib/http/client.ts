// This module runs in every runtime.
import { LimitError, ProtocolError } from "../errors.ts";
import type { Transfer } from "../session/transfer.ts";
import {
  type AddressPattern,
  formatAddress,
  matchesAddress,
  type TensorAddress,
} from "../tensor/address.ts";
import { toHex } from "../tensor/bytes.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import type { DType } from "../tensor/dtype.ts";
import { leafCount } from "../tensor/leaf.ts";
import { DIGEST_BYTES } from "../tensor/merkle.ts";
import type { SourceVersion, StoreEntry } from "../tensor/source.ts";
import { entryOf, readList, versionOf } from "./listing.ts";
import { type HttpOptions, type HttpRequestOptions, type HttpSetup, setUpHttp } from "./options.ts";
import { HttpRequests } from "./requests.ts";
import { retrying } from "./retrying.ts";
import { shown } from "./status_errors.ts";
import { beginTransfer, type FoundTensor } from "./transfers.ts";

/** What follows a tensor's URL and names its leaves' digests. */
const LEAVES = "leaves.sha256";

/**
 * Fetches tensors by plain HTTP from what `createHandler` or `headrace serve --listen http://`
 * serves. Each leaf of 1 MiB is verified by its digest as it comes, and fetched again by itself where
 * it is damaged. After a cut a transfer goes on from what its sink has verified; parts of two
 * versions are never put together.
 *
 * @example
 * ```ts
 * import { MemoryStore, parsePattern } from "headrace";
 * import { createHandler, HttpClient } from "headrace/http";
 *
 * const store = new MemoryStore();
 * const address = { model: "m", partition: "default", tensor: "w" };
 * store.set(address, new Float32Array([1, 2, 3]));
 * const handler = createHandler({ store });
 * const fetch = (url: string, init: RequestInit) => handler(new Request(url, init));
 *
 * const client = new HttpClient("http://localhost", { fetch }); // without fetch: the global one
 * console.log((await client.list(parsePattern("m"))).length); // 1
 * const transfer = client.requestTensor(address, { into: "memory" });
 * console.log(await transfer.tensor(), transfer.verified); // Float32Array(3) [ 1, 2, 3 ] digests
 * ```
 */
export class HttpClient {
  readonly #url: URL;
  readonly #setup: HttpSetup;
  readonly #requests: HttpRequests;
  readonly #instance = crypto.getRandomValues(new Uint8Array(16));

  /**
   * @param url Where the server is: its scheme, host and port; a path, if it has one, is kept.
   * @throws {TypeError} for what is not the URL of a web server.
   */
  constructor(url: string | URL, options: HttpOptions = {}) {
    this.#url = webUrl(url);
    if (!this.#url.pathname.endsWith("/")) this.#url.pathname += "/";
    this.#setup = setUpHttp(options);
    this.#requests = new HttpRequests(this.#setup);
  }

  /** Bytes of bodies that have come. */
  get receivedBytes(): number {
    return this.#requests.receivedBytes;
  }

  /**
   * What the server has and the pattern matches, in the order in which files hold it.
   *
   * @throws {LimitError} for more than `maxListEntries` entries.
   * @throws {RetryExhaustedError} when the server cannot be reached.
   */
  async list(
    pattern: AddressPattern,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<StoreEntry[]> {
    const { signal } = options;
    const models = pattern.model.includes("*")
      ? await this.#models(pattern, signal)
      : [decodeURIComponent(pattern.model)];
    const entries: StoreEntry[] = [];
    for (const model of models) entries.push(...(await this.#tensors(model, pattern, signal)));
    return entries;
  }

  /**
   * Asks for a tensor. Its `verified` is `digests`, or `root` where the root that it must have was
   * given.
   *
   * @throws {TypeError | RangeError} for an address or a priority that cannot be.
   */
  requestTensor(address: TensorAddress, options: HttpRequestOptions = {}): Transfer {
    const [setup, requests] = [this.#setup, this.#requests];
    const making = { setup, requests, instance: this.#instance };
    return beginTransfer(making, address, options, (signal) =>
      this.#find(address, options.version, signal),
    );
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#requests.close(new DOMException("The client was closed", "AbortError"));
  }

  async #models(pattern: AddressPattern, signal: AbortSignal | undefined): Promise<string[]> {
    const any = { ...pattern, partition: "*", tensor: "*" };
    const models: string[] = [];
    let count = 0;
    await this.#list(this.#url, "models", signal, {
      begin: () => {
        models.length = 0;
        count = 0;
      },
      take: (item) => {
        this.#checkCount(++count);
        if (typeof item !== "string")
          throw new ProtocolError("The server listed a model of no name");
        if (matchesAddress(any, { model: item, partition: "any", tensor: "any" }))
          models.push(item);
      },
    });
    return models;
  }

  async #tensors(
    model: string,
    pattern: AddressPattern,
    signal: AbortSignal | undefined,
  ): Promise<StoreEntry[]> {
    const entries: StoreEntry[] = [];
    let count = 0;
    await this.#list(new URL(encodeURIComponent(model), this.#url), "tensors", signal, {
      begin: () => {
        entries.length = 0;
        count = 0;
      },
      take: (item) => {
        this.#checkCount(++count);
        const entry = entryOf(model, item);
        if (matchesAddress(pattern, entry.address)) entries.push(entry);
      },
    });
    return entries;
  }

  async #list(
    url: URL,
    name: "models" | "tensors",
    signal: AbortSignal | undefined,
    { begin, take }: { begin: () => void; take: (item: unknown) => void },
  ): Promise<void> {
    await retrying(
      this.#setup,
      async () => {
        begin();
        await this.#requests.get(url, {}, ({ body }) => readList(body, name, take), { signal });
      },
      { signal },
    );
  }

  #checkCount(count: number): void {
    const { maxListEntries } = this.#setup.limits;
    if (count <= maxListEntries) return;
    throw new LimitError(`${shown(this.#url)} listed more than ${maxListEntries} entries`);
  }

  /** Asks what a tensor is, and for the digests of its leaves. */
  async #find(
    address: TensorAddress,
    wanted: SourceVersion | undefined,
    signal: AbortSignal,
  ): Promise<FoundTensor> {
    const url = new URL(formatAddress(address), this.#url);
    const condition = wanted && { "if-match": `"${toHex(wanted)}"` };
    return this.#requests.get(
      new URL(`${url.href}/${LEAVES}`),
      condition ?? {},
      async ({ headers, body }) => {
        const version = versionOf(headers.get("headrace-version"));
        const etag = `"${toHex(version)}"`;
        const descriptor = this.#descriptorOf(headers);
        const pages = new Uint8Array(DIGEST_BYTES * leafCount(descriptor.byteLength));
        await body.fill(pages);
        await body.end();
        const digests = Array.from({ length: pages.byteLength / DIGEST_BYTES }, (_, n) =>
          pages.subarray(n * DIGEST_BYTES, (n + 1) * DIGEST_BYTES),
        );
        const { byteLength } = descriptor;
        const validators = { etag, hints: "" };
        const resource = { url, byteLength, validators, hasRanges: true };
        return { descriptor, place: { resource, byteOffset: 0, byteLength, version, digests } };
      },
      { signal },
    );
  }

  #descriptorOf(headers: Headers): TensorDescriptor {
    const shape = headers.get("headrace-shape");
    const { maxRank, maxTensorBytes } = this.#setup.limits;
    let descriptor: TensorDescriptor;
    try {
      const sizes = shape === null || shape === "" ? [] : shape.split(",", maxRank + 1).map(Number);
      if (sizes.length > maxRank) throw new RangeError("too many dimensions");
      descriptor = createDescriptor(headers.get("headrace-dtype") as DType, sizes);
    } catch (cause) {
      throw new ProtocolError(
        `${this.#url.origin} does not say what the tensor is: is this a headrace server?`,
        { cause },
      );
    }
    if (descriptor.byteLength <= maxTensorBytes) return descriptor;
    throw new LimitError(
      `A tensor may take ${maxTensorBytes} bytes, found ${descriptor.byteLength}`,
    );
  }
}

/** @throws {TypeError} for what is not the URL of a web server. */
export function webUrl(text: string | URL): URL {
  const url = new URL(text);
  if (/^https?:$/.test(url.protocol) && !url.username && !url.password) return url;
  throw new TypeError(
    `A web server's URL is http://HOST:PORT or https://HOST:PORT, found "${url.origin}"`,
  );
}
