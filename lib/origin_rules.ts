// This module runs in every runtime.

/** Whom a server on HTTP answers. */
export interface OriginRules {
  /**
   * Names under which the server may be asked for, beside `localhost` and addresses. Without this
   * rule a page could have its own name point here, and read what is served.
   */
  readonly hosts?: readonly string[];
  /** Origins whose pages may connect, beside the server's own: `https://app.example`; `*` is all. */
  readonly origins?: readonly string[];
}

/** The two headers by which a request is judged. */
export interface RequestOrigin {
  readonly host: string | null | undefined;
  readonly origin: string | null | undefined;
}

/**
 * Says why a request is not to be answered: no web page may read a peer through somebody's browser
 * unless its origin was let in by name.
 *
 * @returns the reason, or `undefined` when it may be answered.
 *
 * @example
 * ```ts
 * import { whyRefused } from "headrace/websocket";
 *
 * const host = "127.0.0.1:12094";
 * console.log(whyRefused({ host, origin: null }, {})); // undefined
 * console.log(whyRefused({ host, origin: "https://evil.example" }, {}));
 * // pages of https://evil.example are not let in
 * ```
 */
export function whyRefused(
  { host, origin }: RequestOrigin,
  { hosts = [], origins = [] }: OriginRules,
): string | undefined {
  const name = hostnameOf(`http://${host}`);
  if (!host || name === undefined) return "it does not say whom it asks for";
  const isKnown = (one: string) => hostnameOf(`http://${one}`) === name;
  if (!isAddress(name) && name !== "localhost" && !hosts.some(isKnown)) {
    return `this server is not called ${name}`;
  }
  if (!origin || origins.some((one) => one === "*" || one === origin)) return undefined;
  if (origins.some((one) => originOf(one) === origin)) return undefined;
  const isOwn = origin === `http://${host}` || origin === `https://${host}`;
  return isOwn ? undefined : `pages of ${origin} are not let in`;
}

/** The origin that a URL without a path names, as browsers write it; `undefined` for all else. */
export function originOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, origin, href } = new URL(text);
  return /^https?:$/.test(protocol) && href === `${origin}/` ? origin : undefined;
}

function hostnameOf(url: string): string | undefined {
  try {
    return new URL(url).hostname.toLowerCase();
  } catch {
    return undefined;
  }
}

/** An address cannot be made to point elsewhere, as a name can. */
const isAddress = (name: string): boolean => name.startsWith("[") || /^[\d.]+$/.test(name);

/** What an answer may be told to whom. */
export interface Judgement {
  /** What every answer carries: a page of an origin that was let in may read it, no other. */
  readonly headers: Headers;
  /** Why there is to be no other answer than this. */
  readonly why: string | undefined;
}

/** Judges a request by {@linkcode whyRefused}. */
export function judgeRequest(request: Request, rules: OriginRules): Judgement {
  const headers = new Headers({
    // Without an origin as well: a cache must not give a page what has no leave for it.
    vary: "Origin",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
  });
  const origin = request.headers.get("origin");
  const host = request.headers.get("host") ?? new URL(request.url).host;
  const why = whyRefused({ host, origin }, rules);
  if (why === undefined && origin !== null) headers.set("access-control-allow-origin", origin);
  return { headers, why };
}

/** The token of a request's `Authorization: Bearer`. */
export function bearerToken(request: Request): string | undefined {
  return /^Bearer\s+(.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
}
