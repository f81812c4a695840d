// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import { bearerToken, judgeRequest, type OriginRules } from "../origin_rules.ts";
import type { PeerRegistry } from "../session/peer_registry.ts";
import { snapshotOf } from "../session/transfer_snapshot.ts";
import { eventStream } from "./event_stream.ts";
import { formatMetrics, METRICS_TYPE } from "./metrics.ts";
import { NodeView } from "./node_status.ts";
import { pageFile } from "./page.ts";
import { StatusFeed } from "./status_feed.ts";
import { Refusal, steer } from "./steering.ts";

/** What is shown, and to whom. */
export interface StatusHandlerOptions extends OriginRules {
  /** The one that the node's peers were given. */
  readonly registry: PeerRegistry;
  /** What the node calls itself; default `"headrace"`. */
  readonly node?: string;
  /** `worker`, `coordinator` or `mixed` (default). */
  readonly role?: string;
  /**
   * Says whether a bearer token is the right one; compare in constant time. Without it nothing can
   * be changed.
   */
  readonly authorise?: (token: string | undefined) => boolean;
  /** Whether looking needs the token as well; default `false`: only changes do. */
  readonly protectReads?: boolean;
  /** Listeners of `/api/events` at once; further ones get 503. Default 64. */
  readonly maxListeners?: number;
  readonly clock?: Clock;
}

const METHODS = "GET, HEAD, POST, OPTIONS";
const DEFAULT_MAX_LISTENERS = 64;
const INTERVAL_MS = { least: 250, default: 1000, most: 60_000 };

/**
 * Makes a handler that shows what the peers of a {@linkcode PeerRegistry} do, for any server that
 * takes a fetch-style one:
 *
 * - `GET /`: a page for people; `GET /healthz`: `ok`;
 * - `GET /api/status`: the node, its connections and transfers, as `NodeStatus`;
 * - `GET /api/transfers/ID`: one transfer, as `TransferSnapshot`;
 * - `POST /api/transfers/ID/cancel` and `POST /api/transfers/ID/priority` with `{"priority":P}`:
 *   only with the token, as `Authorization: Bearer TOKEN`;
 * - `GET /api/events`: server-sent events `status`, each a `StatusEvent`: what has changed since the
 *   event before. Who reads slowly gets fewer. `?intervalMs=` from 250 to 60000, default 1000;
 * - `GET /metrics`: for Prometheus.
 *
 * A failure is a JSON object of `code` and `message`. Requests for another host, and of pages of
 * origins that are not named, get 403. Without the token no answer tells whether an id is known.
 *
 * @example
 * ```ts
 * import { PeerRegistry } from "headrace";
 * import { createStatusHandler } from "headrace/status";
 *
 * const registry = new PeerRegistry(); // the option `registry` of each peer
 * const handler = createStatusHandler({ registry, node: "gpu-1" });
 * const response = await handler(new Request("http://localhost/api/status"));
 * const { node, transfers } = await response.json();
 * console.log(node, transfers.length); // gpu-1 0
 * ```
 */
export function createStatusHandler(
  options: StatusHandlerOptions,
): (request: Request) => Promise<Response> {
  const { registry, authorise, protectReads = false, clock = systemClock } = options;
  const { node = "headrace", role = "mixed", maxListeners = DEFAULT_MAX_LISTENERS } = options;
  const view = new NodeView({ registry, node, role, isSteerable: authorise !== undefined, clock });
  const feed = new StatusFeed(view, clock);
  let listeners = 0;

  function events(url: URL, headers: Headers): Response {
    if (listeners >= maxListeners) {
      throw new Refusal(503, "limit", `${maxListeners} listen already, and no more may`);
    }
    listeners++;
    const onEnd = () => {
      listeners--;
      if (listeners === 0) feed.forget();
    };
    headers.set("content-type", "text/event-stream");
    const intervalMs = intervalOf(url);
    return new Response(eventStream({ feed, clock, intervalMs, onEnd }), { headers });
  }

  async function answer(request: Request, headers: Headers): Promise<Response> {
    const { method } = request;
    const url = new URL(request.url);
    const [, api, transfers, id = "", action = "", ...rest] = url.pathname.split("/");
    const isTransfer = api === "api" && transfers === "transfers" && rest.length === 0;
    if (method === "POST") {
      // Before anything else is looked at, so that nothing else can be learnt.
      requireToken(request, authorise);
      if (!isTransfer) throw NOT_FOUND;
      return json(snapshotOf(await steer(registry, id, action, request)), headers);
    }
    if (url.pathname === "/healthz") return text("ok\n", headers);
    const file = pageFile(url);
    if (file) {
      for (const [name, value] of Object.entries(file.headers)) headers.set(name, value);
      return new Response(file.body, { headers });
    }
    if (protectReads) requireToken(request, authorise);
    if (isTransfer && action === "") {
      const found = view.transfers().find((one) => one.id === id);
      if (found) return json(found, headers);
      throw new Refusal(404, "not_found", "No transfer has this id, or it was over long ago");
    }
    switch (url.pathname) {
      case "/api/status":
        return json(view.status(), headers);
      case "/api/events":
        if (method === "HEAD") return text("", headers, "text/event-stream");
        return events(url, headers);
      case "/metrics":
        return text(formatMetrics(view.status()), headers, METRICS_TYPE);
    }
    throw NOT_FOUND;
  }

  return async (request) => {
    const { headers, why } = judgeRequest(request, options);
    headers.set("cache-control", "no-store");
    if (why !== undefined) return failed(new Refusal(403, "unauthorised", why), headers);
    if (request.method === "OPTIONS") {
      headers.set("access-control-allow-methods", METHODS);
      headers.set("access-control-allow-headers", "Authorization, Content-Type");
      return new Response(null, { status: 204, headers });
    }
    try {
      if (!["GET", "HEAD", "POST"].includes(request.method)) {
        headers.set("allow", METHODS);
        throw new Refusal(405, "protocol", `${request.method} is not known here`);
      }
      const response = await answer(request, headers);
      return request.method === "HEAD" ? new Response(null, response) : response;
    } catch (error) {
      if (error instanceof Refusal) return failed(error, headers);
      return failed(new Refusal(500, "internal", "the peer failed inside"), headers);
    }
  };
}

const NOT_FOUND = new Refusal(404, "not_found", "There is nothing of that name here");

/** @throws {Refusal} unless the request has the token. */
function requireToken(request: Request, authorise: StatusHandlerOptions["authorise"]): void {
  if (!authorise) {
    const why = "This node has no token, and without one nothing can be changed";
    throw new Refusal(403, "unauthorised", why);
  }
  const token = bearerToken(request);
  if (authorise(token)) return;
  const what = token === undefined ? "A token is needed" : "The token is not the right one";
  throw new Refusal(401, "unauthorised", what);
}

function intervalOf(url: URL): number {
  const asked = Number(url.searchParams.get("intervalMs") ?? INTERVAL_MS.default);
  const { least, most } = INTERVAL_MS;
  if (asked >= least && asked <= most) return asked;
  throw new Refusal(400, "protocol", `intervalMs may be from ${least} to ${most}`);
}

const json = (value: unknown, headers: Headers): Response =>
  text(`${JSON.stringify(value)}\n`, headers, "application/json");

function text(body: string, headers: Headers, type = "text/plain; charset=utf-8"): Response {
  headers.set("content-type", type);
  return new Response(body, { headers });
}

function failed({ status, code, message }: Refusal, headers: Headers): Response {
  headers.set("content-type", "application/json");
  if (status === 401) headers.set("www-authenticate", "Bearer");
  return new Response(`${JSON.stringify({ code, message })}\n`, { status, headers });
}
