import { peerOptions } from "../config/peer_options.ts";
import type { Settings } from "../config/settings.ts";
import { HttpClient } from "../http/client.ts";
import { HttpSafetensors } from "../http/file.ts";
import type { HttpOptions } from "../http/options.ts";
import type { RequestOptions } from "../session/peer_options.ts";
import type { Transfer } from "../session/transfer.ts";
import {
  type AddressPattern,
  formatAddress,
  parsePattern,
  type TensorAddress,
} from "../tensor/address.ts";
import type { ListingEntry } from "../wire/listing.ts";
import { UsageError } from "./describe_error.ts";
import { dialPeer, readPem } from "./dial.ts";
import { fetchTrusting } from "./http_fetch.ts";
import { parseHttpUrl } from "./http_url.ts";
import { parsePeerUrl } from "./peer_url.ts";
import { readToken } from "./token.ts";

/** Where a pull's tensors come from: a peer, or a web server. */
export interface PullSource {
  list(
    pattern: AddressPattern,
    options: { readonly roots?: boolean; readonly signal?: AbortSignal },
  ): Promise<ListingEntry[]>;
  requestTensor(
    address: TensorAddress,
    options: Pick<RequestOptions, "into" | "version" | "priority" | "signal">,
  ): Transfer;
  /** Bytes that came. */
  readonly receivedBytes: number;
  /** Whether lists have no roots, whoever asks for them. */
  readonly isRootless?: boolean;
  /** How many tensors are in what was listed, where an entry is not a tensor. */
  readonly tensorTotal?: number;
  close(): Promise<void>;
}

/** A source, and what of it is meant. */
export interface PullTarget {
  readonly source: PullSource;
  readonly pattern: AddressPattern;
}

/** The arguments of verbs that fetch or list. */
export interface SourceArgs {
  readonly "token-file"?: string | undefined;
  readonly http?: boolean | undefined;
}

/**
 * What a URL names, ready to be asked.
 *
 * @param wants Whether a web server's file is wanted as it is, or by its tensors.
 * @throws {UsageError} for a URL that is none, or trust that its transport cannot be held to.
 */
export async function openSource(
  text: string,
  args: SourceArgs,
  settings: Settings,
  wants: "file" | "tensors",
): Promise<PullTarget> {
  const http = parseHttpUrl(text, args.http ?? false);
  if (!http) {
    const { url, pattern } = parsePeerUrl(text);
    return { source: await dialPeer(url, settings), pattern };
  }
  const options = await httpOptions(http.url, http.kind === "file", args, settings);
  if (http.kind === "server") {
    const client = new HttpClient(http.url, options);
    return { source: Object.assign(client, { isRootless: true }), pattern: http.pattern };
  }
  const file = new HttpSafetensors(http.url, options);
  if (wants === "file" && http.tensor === "") {
    return { source: new WholeFile(file), pattern: parsePattern(formatAddress(file.address)) };
  }
  const name = encodeURIComponent(file.name).replaceAll("*", "%2A");
  const pattern = parsePattern(`${name}/${name}/${http.tensor.replaceAll("/", "%2F")}`);
  return { source: Object.assign(file, { isRootless: true }), pattern };
}

async function httpOptions(
  url: string,
  isFile: boolean,
  args: SourceArgs,
  settings: Settings,
): Promise<HttpOptions> {
  if (settings.pinSha256 !== undefined) {
    throw new UsageError(`${url} is trusted by its certificate authority: --pin is for tls://`);
  }
  // A token from the environment is for peers, not for whatever web server a URL names.
  const isAsked = !isFile || args["token-file"] !== undefined;
  const token = isAsked ? await readToken(settings.tokenFile) : undefined;
  const ca = settings.caFile === undefined ? undefined : await readPem(settings.caFile);
  const { retry, limits } = peerOptions(settings);
  return {
    ...(retry && { retry }),
    ...(limits && { limits }),
    ...(token !== undefined && { token }),
    ...(ca !== undefined && { fetch: await fetchTrusting(ca) }),
  };
}

/** A file of a web server as the one thing that is listed: it is fetched in one piece. */
class WholeFile implements PullSource {
  readonly isRootless = true;
  readonly #file: HttpSafetensors;
  #tensorTotal = 0;

  constructor(file: HttpSafetensors) {
    this.#file = file;
  }

  get receivedBytes(): number {
    return this.#file.receivedBytes;
  }

  get tensorTotal(): number {
    return this.#tensorTotal;
  }

  async list(
    _pattern: AddressPattern,
    options: { readonly signal?: AbortSignal },
  ): Promise<ListingEntry[]> {
    const { entry, tensors } = await this.#file.describe(options);
    this.#tensorTotal = tensors;
    return [entry];
  }

  requestTensor(
    _address: TensorAddress,
    options: Parameters<HttpSafetensors["requestFile"]>[0],
  ): Transfer {
    return this.#file.requestFile(options);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
