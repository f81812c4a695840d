// This module runs in every runtime.
import { LimitError, NotFoundError, ProtocolError } from "../errors.ts";
import {
  headerByteLength,
  parseHeader,
  type SafetensorsHeader,
} from "../formats/safetensors/header.ts";
import type { Transfer } from "../session/transfer.ts";
import {
  type AddressPattern,
  formatAddress,
  HEADER_TENSOR,
  matchesAddress,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { createDescriptor } from "../tensor/descriptor.ts";
import type { SourceVersion, StoreEntry } from "../tensor/source.ts";
import type { HttpBody } from "./body.ts";
import { webUrl } from "./client.ts";
import { type HttpOptions, type HttpRequestOptions, type HttpSetup, setUpHttp } from "./options.ts";
import { type HttpAnswer, HttpRequests } from "./requests.ts";
import {
  checkAnswer,
  contentRangeOf,
  type HttpResource,
  rangeHeaders,
  validatorsOf,
} from "./resource.ts";
import { retrying } from "./retrying.ts";
import { shown } from "./status_errors.ts";
import { beginTransfer, type FoundTensor } from "./transfers.ts";

/** Most headers are shorter: one request then tells all. */
const FIRST_BYTES = 64 * 1024;
const LENGTH_BYTES = 8;
const EXTENSION = ".safetensors";

/** The file as it is now. */
interface OpenFile {
  readonly resource: HttpResource;
  readonly version: SourceVersion;
  readonly header: SafetensorsHeader;
}

/**
 * A safetensors file on any web server, and its tensors. Nothing there tells digests: what came is
 * known to have the right length (`verified` is `length`), and whatever its server sent. Parts are put
 * together, and transfers go on after a cut, only where the server gives ranges and a strong entity
 * tag; elsewhere each attempt is one answer, from its beginning.
 *
 * @example
 * ```ts
 * import { parsePattern } from "headrace";
 * import { HttpSafetensors } from "headrace/http";
 * import { encodeHeader } from "headrace/safetensors";
 *
 * const descriptor = { dtype: "F32", shape: [2], byteLength: 8 } as const;
 * const { raw } = encodeHeader([{ name: "bias", descriptor }]);
 * const bytes = new Uint8Array([...raw, 0, 0, 128, 63, 0, 0, 0, 64]);
 * const fetch = async () => new Response(bytes, { headers: { "content-length": `${bytes.length}` } });
 *
 * const file = new HttpSafetensors("https://example.com/model.safetensors", { fetch });
 * const [header, bias] = await file.list(parsePattern(""));
 * const transfer = file.requestTensor(bias!.address, { into: "memory" });
 * console.log(await transfer.tensor(), transfer.verified); // Float32Array(2) [ 1, 2 ] length
 * ```
 */
export class HttpSafetensors {
  /** The file's name, without its ending: the model and the partition of its tensors. */
  readonly name: string;
  readonly #url: URL;
  readonly #setup: HttpSetup;
  readonly #requests: HttpRequests;
  readonly #instance = crypto.getRandomValues(new Uint8Array(16));
  #file: OpenFile | undefined;

  /** @throws {TypeError} for what is not the URL of a file on a web server. */
  constructor(url: string | URL, options: HttpOptions = {}) {
    this.#url = webUrl(url);
    this.#url.hash = "";
    this.name = nameOf(this.#url);
    this.#setup = setUpHttp(options);
    this.#requests = new HttpRequests(this.#setup);
  }

  /** Bytes of bodies that have come. */
  get receivedBytes(): number {
    return this.#requests.receivedBytes;
  }

  /** Where the whole file lives, as {@linkcode HttpSafetensors.requestFile} fetches it. */
  get address(): TensorAddress {
    const tensor = `${this.name}${EXTENSION}`;
    return { model: this.name, partition: SIDE_FILES_PARTITION, tensor };
  }

  /**
   * What the file has now: its raw header, as the U8 tensor `__metadata__`, and its tensors, in order.
   *
   * @throws {FormatError} for a file that is not safetensors.
   * @throws {LimitError} for a header over `maxSafetensorsHeaderBytes`.
   * @throws {RetryExhaustedError} when the server cannot be reached.
   */
  async list(
    pattern: AddressPattern,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<StoreEntry[]> {
    const { header, version } = await this.#retried(options.signal);
    const tensors = [
      { name: HEADER_TENSOR, descriptor: createDescriptor("U8", [header.raw.byteLength]) },
      ...header.tensors,
    ];
    return tensors
      .map(({ name, descriptor }) => ({ address: this.#addressOf(name), descriptor, version }))
      .filter(({ address }) => matchesAddress(pattern, address));
  }

  /**
   * The whole file as it is now, as one entry, and how many tensors it has.
   *
   * @throws {FormatError | LimitError | RetryExhaustedError} as {@linkcode HttpSafetensors.list}.
   */
  async describe(
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly entry: StoreEntry; readonly tensors: number }> {
    const { resource, version, header } = await this.#retried(options.signal);
    const descriptor = createDescriptor("U8", [resource.byteLength]);
    return {
      entry: { address: this.address, descriptor, version },
      tensors: header.tensors.length,
    };
  }

  /**
   * Asks for a tensor.
   *
   * @throws {TypeError | RangeError} for an address or a priority that cannot be.
   */
  requestTensor(address: TensorAddress, options: HttpRequestOptions = {}): Transfer {
    return this.#request(address, options, ({ header, resource, version }) => {
      if (address.tensor === HEADER_TENSOR) {
        const byteLength = header.raw.byteLength;
        const descriptor = createDescriptor("U8", [byteLength]);
        const front = header.raw;
        return { descriptor, place: { resource, byteOffset: 0, byteLength, version, front } };
      }
      const found = header.tensors.find(({ name }) => name === address.tensor);
      const text = formatAddress(address);
      if (!found || text !== formatAddress(this.#addressOf(address.tensor))) {
        throw new NotFoundError(`${shown(this.#url)} has nothing called ${text}`, {
          address: text,
        });
      }
      const { descriptor, fileOffset: byteOffset } = found;
      const { byteLength } = descriptor;
      return { descriptor, place: { resource, byteOffset, byteLength, version } };
    });
  }

  /** Asks for the whole file, as one U8 tensor. */
  requestFile(options: HttpRequestOptions = {}): Transfer {
    return this.#request(this.address, options, ({ header, resource, version }) => {
      const { byteLength } = resource;
      const descriptor = createDescriptor("U8", [byteLength]);
      const front = header.raw;
      return { descriptor, place: { resource, byteOffset: 0, byteLength, version, front } };
    });
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#requests.close(new DOMException("The client was closed", "AbortError"));
  }

  #addressOf(tensor: string): TensorAddress {
    return { model: this.name, partition: this.name, tensor };
  }

  #request(
    address: TensorAddress,
    options: HttpRequestOptions,
    find: (file: OpenFile) => FoundTensor,
  ): Transfer {
    const [setup, requests] = [this.#setup, this.#requests];
    const making = { setup, requests, instance: this.#instance };
    return beginTransfer(making, address, options, async (signal) => {
      const known = this.#file;
      const isWanted = known && options.version && equalBytes(known.version, options.version);
      return find(isWanted ? known : await this.#open(signal));
    });
  }

  #retried(signal: AbortSignal | undefined): Promise<OpenFile> {
    return retrying(this.#setup, () => this.#open(signal), { signal });
  }

  /** Reads the header, by a part of the file where the server gives parts. */
  async #open(signal: AbortSignal | undefined): Promise<OpenFile> {
    const care = { signal };
    const range = { range: `bytes=0-${FIRST_BYTES - 1}` };
    const { resource, start } = await this.#requests.get(
      this.#url,
      range,
      async (answer) => {
        const resource = this.#resourceOf(answer);
        const { byteLength, hasRanges } = resource;
        const start = await this.#readStart(answer.body, resource);
        if (hasRanges && start.byteLength === Math.min(FIRST_BYTES, byteLength)) {
          await answer.body.end();
        }
        return { resource, start };
      },
      care,
    );
    const limits = { limits: this.#setup.limits };
    const { byteLength } = resource;
    const headerBytes = headerByteLength(start, byteLength, limits);
    const raw = start.subarray(0, headerBytes);
    const whole =
      raw.byteLength === headerBytes ? raw : await this.#readHeader(resource, headerBytes, signal);
    const header = parseHeader(whole, byteLength, limits);
    this.#file = { resource, header, version: await this.#versionOf(resource) };
    return this.#file;
  }

  #resourceOf({ status, headers }: HttpAnswer): HttpResource {
    const url = this.#url;
    const validators = validatorsOf(headers);
    const range = status === 206 ? contentRangeOf(url, headers) : undefined;
    const byteLength = range ? range.total : Number(headers.get("content-length") ?? Number.NaN);
    if (byteLength === undefined || !Number.isSafeInteger(byteLength)) {
      throw new ProtocolError(`${shown(url)} does not say how long the file is`);
    }
    const { maxTensorBytes } = this.#setup.limits;
    if (byteLength > maxTensorBytes) {
      throw new LimitError(`A file may take ${maxTensorBytes} bytes, found ${byteLength}`);
    }
    const wantedLast = Math.min(FIRST_BYTES, byteLength) - 1;
    if (range && (range.first !== 0 || range.last !== wantedLast)) {
      throw new ProtocolError(
        `Asked ${shown(url)} for bytes 0 to ${wantedLast}, was given ${range.first} to ${range.last}`,
      );
    }
    return { url, byteLength, validators, hasRanges: range !== undefined };
  }

  /** As much of the file's beginning as was asked for or, where all of it comes, as the header takes. */
  async #readStart(body: HttpBody, { byteLength, hasRanges }: HttpResource): Promise<Uint8Array> {
    const start = new Uint8Array(Math.min(LENGTH_BYTES, byteLength));
    await body.fill(start);
    const { limits } = this.#setup;
    const headerBytes = headerByteLength(start, byteLength, { limits });
    const wanted = hasRanges ? Math.min(FIRST_BYTES, byteLength) : headerBytes;
    return this.#fillOn(start, wanted, body);
  }

  async #readHeader(
    resource: HttpResource,
    headerBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    return this.#requests.get(
      resource.url,
      rangeHeaders(resource, 0, headerBytes),
      async (answer) => {
        await answer.body.skip(checkAnswer(resource, answer, 0, headerBytes));
        const header = await this.#fillOn(new Uint8Array(), headerBytes, answer.body);
        if (answer.status === 206) await answer.body.end();
        return header;
      },
      { signal },
    );
  }

  /** Memory for a header is taken as it comes: what was declared may never come. */
  async #fillOn(start: Uint8Array, byteLength: number, body: HttpBody): Promise<Uint8Array> {
    let bytes = start;
    while (bytes.byteLength < byteLength) {
      const next = Math.min(byteLength, Math.max(FIRST_BYTES, 2 * bytes.byteLength));
      const larger = new Uint8Array(next);
      larger.set(bytes);
      await body.fill(larger.subarray(bytes.byteLength));
      bytes = larger;
    }
    return bytes;
  }

  /**
   * From a strong tag and where it was given: other files may have the same one. Without a tag nothing but what this
   * very object has seen is known again.
   */
  async #versionOf({ byteLength, validators }: HttpResource): Promise<SourceVersion> {
    const { etag, hints } = validators;
    if (etag !== undefined) {
      // The query may be a signature, which the next run has another of.
      const where = `${this.#url.origin}${this.#url.pathname}`;
      return this.#setup.sha256([new TextEncoder().encode(`${where} ${byteLength} ${etag}`)]);
    }
    const known = this.#file;
    const isSame =
      known?.resource.byteLength === byteLength &&
      known.resource.validators.hints === hints &&
      known.resource.validators.etag === undefined;
    return isSame ? known.version : crypto.getRandomValues(new Uint8Array(32));
  }
}

/** The stem of a URL's last name. */
function nameOf({ pathname }: URL): string {
  const last = pathname.split("/").at(-1) ?? "";
  let name: string;
  try {
    name = decodeURIComponent(last);
  } catch {
    name = last;
  }
  const isKnown = name.toLowerCase().endsWith(EXTENSION);
  const stem = isKnown ? name.slice(0, -EXTENSION.length) : name;
  if (stem !== "") return stem;
  throw new TypeError("The URL of a file ends in its name");
}
