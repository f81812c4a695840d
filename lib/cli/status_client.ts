import * as v from "valibot";
import { ProtocolError, TransportError, UnauthorisedError } from "../errors.ts";
import { UsageError } from "./describe_error.ts";
import type { Fetch } from "./http_fetch.ts";

const MAX_STATUS_BYTES = 32 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

/** A transfer as a node shows it, as far as it is looked at here. */
export interface ShownTransfer {
  readonly id: string;
  readonly address: string;
  readonly direction: "in" | "out";
  readonly remote?: string | undefined;
  readonly status: string;
  readonly phase: string;
  readonly priority: number;
  readonly bytes: number;
  readonly totalBytes?: number | undefined;
  readonly bytesPerSecond: number;
  readonly etaMs?: number | undefined;
  readonly retries: number;
}

/** What a node says of itself, as far as it is looked at here. */
export interface ShownStatus {
  readonly node: string;
  readonly connections: readonly unknown[];
  readonly transfers: readonly ShownTransfer[];
  readonly totals: { readonly responses: { readonly underWay: number } };
}

const Count: v.GenericSchema<unknown, number> = v.pipe(v.number(), v.minValue(0));
const Shown: v.GenericSchema<unknown, ShownTransfer> = v.looseObject({
  id: v.string(),
  address: v.string(),
  direction: v.picklist(["in", "out"]),
  remote: v.optional(v.string()),
  status: v.string(),
  phase: v.string(),
  priority: v.number(),
  bytes: Count,
  totalBytes: v.optional(Count),
  bytesPerSecond: v.number(),
  etaMs: v.optional(v.number()),
  retries: Count,
});
const Status: v.GenericSchema<unknown, ShownStatus> = v.looseObject({
  node: v.string(),
  connections: v.array(v.unknown()),
  transfers: v.array(Shown),
  totals: v.looseObject({ responses: v.looseObject({ underWay: Count }) }),
});

/**
 * Where a status address is asked.
 *
 * @throws {UsageError} for what is no such address.
 */
export function parseStatusUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return new URL("/api/status", url);
  throw new UsageError(
    `"${text}" is no status address: give the http://HOST:PORT that serve --status has printed`,
  );
}

/** How a node is asked. */
export interface AskOptions {
  readonly token: string | undefined;
  readonly signal: AbortSignal;
  readonly fetch: Fetch;
}

/**
 * Asks a node what it does.
 *
 * @throws {TransportError} when it does not answer.
 * @throws {UnauthorisedError} when it wants a token, or another one.
 * @throws {ProtocolError} for an answer that is not a status.
 */
export async function fetchStatus(
  url: URL,
  { token, signal, fetch }: AskOptions,
): Promise<ShownStatus> {
  const headers = { ...(token !== undefined && { authorization: `Bearer ${token}` }) };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  let response: Response;
  let text: string;
  try {
    response = await fetch(url.href, { headers, signal: limit, redirect: "error" });
    text = await readText(response, url);
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof ProtocolError) throw cause;
    // fetch says only that it failed; the reason is below.
    const below = cause instanceof Error ? (cause.cause ?? cause) : cause;
    const why = below instanceof Error ? below.message || (below as { code?: string }).code : below;
    throw new TransportError(`${url.origin} did not answer: ${why}`, { cause });
  }
  if (response.status === 401) {
    throw new UnauthorisedError(
      `${url.origin} shows its status only with the token: give --token-file, or set HEADRACE_TOKEN`,
    );
  }
  try {
    return v.parse(Status, JSON.parse(text));
  } catch (cause) {
    throw new ProtocolError(
      `${url.origin} answered ${response.status} with what is no status of headrace`,
      { cause },
    );
  }
}

async function readText(response: Response, url: URL): Promise<string> {
  const utf8 = new TextDecoder();
  let text = "";
  let byteLength = 0;
  const reader = response.body?.getReader();
  for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
    byteLength += next.value.byteLength;
    if (byteLength > MAX_STATUS_BYTES) {
      await reader?.cancel();
      throw new ProtocolError(`${url.origin} answered more than ${MAX_STATUS_BYTES} bytes`);
    }
    text += utf8.decode(next.value, { stream: true });
  }
  return text + utf8.decode();
}
