// This module runs in every runtime.
import { abortable, deferred } from "../deferred.ts";
import { HeadraceError, ProtocolError, TransportError } from "../errors.ts";
import { AbortGroups } from "../session/abort_groups.ts";
import { StallWatch } from "../session/stall_watch.ts";
import type { Transfer } from "../session/transfer.ts";
import { type Turn, Turns } from "../session/turns.ts";
import { HttpBody } from "./body.ts";
import type { HttpSetup } from "./options.ts";
import { errorOfStatus, type SaidFailure, shown } from "./status_errors.ts";

/** An answer of 200 or 206. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: HttpBody;
  /**
   * Waits for something else than the answer: for the sink, or for the end of a pause. Where that
   * takes long, others have the turn meanwhile.
   *
   * @param canAskAgain Whether the answer may be let go of for others, to be asked for once more.
   * @returns `false` when it was, at once; who waits still has to.
   */
  readonly rest: (waiting: Promise<void>, canAskAgain: boolean) => Promise<boolean>;
}

/** How one request is made. */
export interface RequestCare {
  readonly signal?: AbortSignal | undefined;
  /** Which of those that wait goes first. */
  readonly priority?: () => number;
  /** Goes at once, whatever is under way: for a request amid another. */
  readonly isUrgent?: boolean;
}

/** How long one that does not read its answer keeps others from asking. */
const REST_MS = 1000;
const MAX_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** Of the body of an answer that is a failure. */
const MAX_SAID_BYTES = 1024;

/** Makes requests, a few at a time, and watches each of them until its answer has been read. */
export class HttpRequests {
  readonly #setup: HttpSetup;
  readonly #turns: Turns;
  readonly #stop = new AbortController();
  readonly #aborts = new AbortGroups();
  /** Answers that have begun and are not over. */
  #open = 0;
  /** What lets go of answers that rest and can be asked for again, the longest resting first. */
  readonly #resting = new Set<() => void>();
  #receivedBytes = 0;

  constructor(setup: HttpSetup) {
    this.#setup = setup;
    this.#turns = new Turns(setup.maxRequests);
  }

  /** Bytes of bodies that came. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Cancels a transfer with its caller's signal, and when everything is to end. */
  bind(transfer: Transfer, signal: AbortSignal | undefined): void {
    if (signal) this.#aborts.add(signal, transfer);
    this.#aborts.add(this.#stop.signal, transfer);
  }

  /** Ends everything that is under way. */
  close(reason: unknown): void {
    this.#stop.abort(reason);
  }

  /**
   * Asks for a resource and lets `use` read the answer. Whatever of it is not read is not waited for.
   *
   * @throws {TransportError} when the link fails, or nothing comes for `stallTimeoutMs`.
   * @throws {HeadraceError} for an answer other than 200 and 206, and one with an encoding.
   */
  get<T>(
    url: URL,
    headers: Readonly<Record<string, string>>,
    use: (answer: HttpAnswer) => Promise<T>,
    care: RequestCare = {},
  ): Promise<T> {
    const work = (turn?: Turn) => this.#get(url, headers, use, care.signal, turn);
    return care.isUrgent ? work() : this.#turns.run(care.priority ?? (() => 0), work);
  }

  async #get<T>(
    url: URL,
    headers: Readonly<Record<string, string>>,
    use: (answer: HttpAnswer) => Promise<T>,
    caller: AbortSignal | undefined,
    turn: Turn | undefined,
  ): Promise<T> {
    const { clock, limits } = this.#setup;
    const stop = new AbortController();
    const { signal } = stop;
    const onAbort = () => stop.abort((caller?.aborted ? caller : this.#stop.signal).reason);
    // There are no connections for more than may be asked for at once: browsers have six.
    const [letGo] = this.#resting;
    if (this.#open >= this.#setup.maxRequests) letGo?.();
    this.#open++;
    const callers = [caller, this.#stop.signal].filter((one) => one !== undefined);
    for (const one of callers) one.addEventListener("abort", onAbort, { once: true });
    if (callers.some((one) => one.aborted)) onAbort();
    let isTheirTurn = true;
    const watch = new StallWatch({
      clock,
      timeoutMs: limits.stallTimeoutMs,
      isWaiting: () => isTheirTurn,
      onStall: () =>
        stop.abort(new TransportError(`${shown(url)} stood still for ${limits.stallTimeoutMs} ms`)),
    });
    try {
      signal.throwIfAborted();
      const response = await this.#follow(url, headers, signal);
      watch.heard();
      const reader = response.body?.getReader();
      const next = async (): Promise<Uint8Array | undefined> => {
        isTheirTurn = true;
        try {
          const read = await this.#translated(url, signal, async () => reader?.read());
          this.#receivedBytes += read?.value?.byteLength ?? 0;
          return read?.value;
        } finally {
          isTheirTurn = false;
          watch.heard();
        }
      };
      const body = new HttpBody(shown(url), next, response.headers.has("content-length"));
      isTheirTurn = false;
      if (response.status !== 200 && response.status !== 206) {
        throw errorOfStatus(url, response, await saidIn(body));
      }
      const encoding = response.headers.get("content-encoding") ?? "identity";
      if (encoding !== "identity") {
        throw new ProtocolError(
          `${shown(url)} comes encoded as ${encoding}, which no range and no length is true of; wanted identity`,
        );
      }
      const rest = (waiting: Promise<void>, canAskAgain: boolean) =>
        this.#rest(waiting, canAskAgain, turn);
      return await use({ status: response.status, headers: response.headers, body, rest });
    } finally {
      this.#open--;
      watch.stop();
      for (const one of callers) one.removeEventListener("abort", onAbort);
      // What is left of the body, or of the request, is of no use to anybody.
      stop.abort(new DOMException("The answer was read", "AbortError"));
    }
  }

  async #rest(
    waiting: Promise<void>,
    canAskAgain: boolean,
    turn: Turn | undefined,
  ): Promise<boolean> {
    const long = deferred<"long">();
    const cancel = this.#setup.clock.after(REST_MS, () => long.resolve("long"));
    try {
      if ((await Promise.race([waiting, long.promise])) !== "long") return true;
    } finally {
      cancel();
    }
    turn?.leave();
    const wanted = deferred<"wanted">();
    const letGo = () => {
      // At once: another request may begin before this one has ended, and needs a place of its own.
      this.#resting.delete(letGo);
      wanted.resolve("wanted");
    };
    if (canAskAgain) this.#resting.add(letGo);
    try {
      if ((await Promise.race([waiting, wanted.promise])) === "wanted") return false;
    } finally {
      this.#resting.delete(letGo);
    }
    await turn?.take();
    return true;
  }

  /** Follows redirects by hand, where a runtime lets one, so that the token stays where it belongs. */
  async #follow(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    let { token } = this.#setup;
    let at = url;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const init = {
        headers: {
          "accept-encoding": "identity",
          ...headers,
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
        },
        cache: "no-store",
        signal,
      } as const;
      const send = (redirect: RequestRedirect) =>
        this.#translated(at, signal, () => this.#setup.fetch(at.href, { ...init, redirect }));
      const response = await send("manual");
      if (response.type === "opaqueredirect") {
        if (token === undefined) return await send("follow");
        throw new ProtocolError(
          `${shown(at)} redirects, and a page cannot see where to: a token is not sent along`,
        );
      }
      if (!REDIRECTS.includes(response.status)) return response;
      response.body?.cancel().catch(() => {});
      const next = nextUrl(at, response.headers.get("location"));
      if (next.origin !== at.origin) token = undefined;
      at = next;
    }
    throw new ProtocolError(`${shown(url)} redirects more than ${MAX_REDIRECTS} times`);
  }

  /** Whatever fails underneath is a failed link; a reason to stop passes through as it is. */
  async #translated<T>(url: URL, signal: AbortSignal, step: () => Promise<T>): Promise<T> {
    try {
      return await abortable(step(), signal);
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof HeadraceError) throw cause;
      const why = cause instanceof Error ? reasonOf(cause) : String(cause);
      throw new TransportError(`The link to ${url.origin} failed: ${why}`, { cause });
    }
  }
}

/** `fetch` says "fetch failed" and keeps the reason underneath. */
function reasonOf(error: Error): string {
  const { cause } = error;
  return cause instanceof Error && cause.message ? cause.message : error.message;
}

/** @throws {ProtocolError} for a redirect to nowhere, to something else than HTTP, or out of TLS. */
function nextUrl(at: URL, location: string | null): URL {
  const next = location === null ? undefined : tryUrl(location, at);
  const isAllowed =
    next?.protocol === "https:" || (next?.protocol === "http:" && at.protocol === "http:");
  if (next && isAllowed) return next;
  throw new ProtocolError(`${shown(at)} redirects to where it may not: ${location ?? "nowhere"}`);
}

function tryUrl(text: string, base: URL): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

/** The beginning of what a failure says of itself. */
async function saidIn(body: HttpBody): Promise<SaidFailure> {
  try {
    const bytes = (await body.some())?.subarray(0, MAX_SAID_BYTES) ?? new Uint8Array();
    const text = new TextDecoder().decode(bytes);
    if (!text.startsWith("{")) return { message: text.startsWith("<") ? "" : lineOf(text) };
    const { message, code, retryable } = JSON.parse(text) as Record<string, unknown>;
    const isFinal = retryable === false && typeof code === "string";
    return { message: lineOf(message), ...(isFinal && { finalCode: lineOf(code) }) };
  } catch {
    return { message: "" };
  }
}

const lineOf = (said: unknown): string =>
  typeof said === "string" ? said.trim().slice(0, 200) : "";
