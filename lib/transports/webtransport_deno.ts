/**
 * WebTransport in Deno: what dials a peer, and what listens for peers.
 *
 * @module headrace/webtransport-deno
 */
import { systemClock } from "../clock.ts";
import type { Connection, Listener } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { type OriginRules, whyRefused } from "../origin_rules.ts";
import { ConnectionQueue } from "./connection_queue.ts";
import { DEFAULT_MAX_PENDING_CONNECTIONS, requireCertificate } from "./tcp_options.ts";
import type { WebTransportLike } from "./webtransport_like.ts";
import { connectionOf } from "./webtransport_session.ts";
import { formatWebTransportUrl, parseWebTransportUrl } from "./webtransport_url.ts";

export {
  type CertificateHash,
  connect,
  type WebTransportConnectOptions,
  type WebTransportConstructor,
  type WebTransportLike,
  type WebTransportStreamLike,
} from "./webtransport.ts";

/** How to listen. */
export interface WebTransportListenOptions extends Pick<OriginRules, "hosts"> {
  /** The certificate chain in PEM. */
  readonly cert?: string;
  /** The private key in PEM. */
  readonly key?: string;
  /** Closes the listener when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Connections that nobody has taken yet, or that are not whole; further ones are refused. Default 256. */
  readonly maxPendingConnections?: number;
  /** How long a session and its first stream may take; default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Told of connections that failed before they could be taken; listening goes on. */
  onError?(error: TransportError): void;
}

/** Of Deno's QUIC, what is used here; it needs `--unstable-net`. */
interface QuicConn {
  readonly remoteAddr: { readonly hostname: string; readonly port: number };
  close(info: { closeCode: number; reason: string }): void;
}
interface QuicListener {
  accept(): Promise<QuicConn>;
  stop(): void;
}
interface QuicEndpoint {
  readonly addr: { readonly port: number };
  listen(options: {
    cert: string;
    key: string;
    alpnProtocols: string[];
    maxConcurrentBidirectionalStreams: number;
    maxConcurrentUnidirectionalStreams: number;
    keepAliveInterval: number;
    maxIdleTimeout: number;
  }): QuicListener;
  close(): void;
}
interface DenoQuic {
  QuicEndpoint?: new (options: { hostname: string; port: number }) => QuicEndpoint;
  upgradeWebTransport(conn: QuicConn): Promise<WebTransportLike & { readonly url: string }>;
}

const { Deno } = globalThis as unknown as { Deno: DenoQuic };

/** Those of a connection, and some that a page may have open by mistake. */
const MOST_STREAMS = 64;
const KEEP_ALIVE_MS = 10_000;
const IDLE_TIMEOUT_MS = 30_000;
/** An accept that fails at once, again and again, must not spin. */
const RETRY_ACCEPT_MS = 100;

/**
 * Listens on `https://HOST:PORT` for WebTransport in Deno; port 0 picks one, `url` tells which.
 * Deno does not show from which page a browser comes: a token keeps pages out, or a certificate that
 * no browser trusts by itself.
 *
 * @throws {TypeError} when the URL is not such an address, `cert` or `key` is missing, or Deno runs
 *   without `--unstable-net`.
 * @throws {TransportError} when the port is in use or the address is not this machine's.
 */
export async function listen(
  url: string | URL,
  options: WebTransportListenOptions = {},
): Promise<Listener> {
  const { host, port } = parseWebTransportUrl(url);
  requireCertificate(String(url), options);
  const { cert = "", key = "" } = options;
  options.signal?.throwIfAborted();
  if (!Deno.QuicEndpoint) {
    throw new TypeError("WebTransport needs deno run --unstable-net to be listened for");
  }
  let endpoint: QuicEndpoint | undefined;
  try {
    endpoint = new Deno.QuicEndpoint({ hostname: host, port });
    const listener = endpoint.listen({
      cert,
      key,
      alpnProtocols: ["h3"],
      maxConcurrentBidirectionalStreams: MOST_STREAMS,
      maxConcurrentUnidirectionalStreams: MOST_STREAMS,
      keepAliveInterval: KEEP_ALIVE_MS,
      maxIdleTimeout: IDLE_TIMEOUT_MS,
    });
    return new WebTransportListener(endpoint, listener, host, options);
  } catch (error) {
    endpoint?.close();
    const why = error instanceof Error ? error.message : String(error);
    throw new TransportError(`Listening on ${formatWebTransportUrl(host, port)} failed: ${why}`, {
      cause: error,
    });
  }
}

class WebTransportListener implements Listener {
  readonly url: string;
  readonly connections: ReadableStream<Connection>;
  readonly #endpoint: QuicEndpoint;
  readonly #listener: QuicListener;
  readonly #options: WebTransportListenOptions;
  readonly #queue: ConnectionQueue;
  readonly #most: number;
  #opening = 0;
  #open = 0;
  #isClosed = false;
  readonly #onAbort: () => void = () => void this.close();

  constructor(
    endpoint: QuicEndpoint,
    listener: QuicListener,
    host: string,
    options: WebTransportListenOptions,
  ) {
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#options = options;
    this.#most = options.maxPendingConnections ?? DEFAULT_MAX_PENDING_CONNECTIONS;
    this.#queue = new ConnectionQueue(this.#most, () => this.close());
    this.connections = this.#queue.connections;
    this.url = formatWebTransportUrl(host, endpoint.addr.port);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    void this.#acceptAll();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#listener.stop();
    this.#queue.close();
    this.#endWhenIdle();
  }

  /** Closing the endpoint would end the connections that were taken: it waits for the last of them. */
  #endWhenIdle(): void {
    if (this.#isClosed && this.#opening + this.#open === 0) this.#endpoint.close();
  }

  async #acceptAll(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const conn = await this.#listener.accept();
        void this.#welcome(conn);
      } catch (error) {
        if (this.#isClosed) return;
        this.#report(error);
        await new Promise<void>((resolve) => systemClock.after(RETRY_ACCEPT_MS, resolve));
      }
    }
  }

  async #welcome(conn: QuicConn): Promise<void> {
    const { connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = this.#options;
    if (this.#isClosed || this.#opening >= this.#most || !this.#queue.hasRoom) {
      this.#refuse(conn, `${this.#most} connections wait already`);
      return;
    }
    this.#opening++;
    const over = () => {
      this.#open--;
      this.#endWhenIdle();
    };
    const cancel = systemClock.after(connectTimeoutMs, () =>
      this.#refuse(conn, `it did not begin within ${connectTimeoutMs} ms`),
    );
    try {
      const session = await Deno.upgradeWebTransport(conn);
      this.#open++;
      session.closed.then(over, over);
      await session.ready;
      const { hosts } = this.#options;
      const origin = { host: new URL(session.url).host, origin: null };
      const why = whyRefused(origin, { ...(hosts !== undefined && { hosts }) });
      if (why !== undefined) throw new TransportError(why);
      this.#queue.add(await firstOf(session, conn));
    } catch (error) {
      this.#refuse(conn, error);
    } finally {
      cancel();
      this.#opening--;
      this.#endWhenIdle();
    }
  }

  #refuse(conn: QuicConn, why: unknown): void {
    conn.close({ closeCode: 0, reason: "" });
    if (!this.#isClosed) this.#report(why);
  }

  #report(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    const message = `Accepting a connection on ${this.url} failed: ${why}`;
    this.#options.onError?.(new TransportError(message, { cause: error }));
  }
}

async function firstOf(session: WebTransportLike, { remoteAddr }: QuicConn): Promise<Connection> {
  const incoming = session.incomingBidirectionalStreams.getReader();
  const { done, value } = await incoming.read();
  if (done) throw new TransportError("the session ended before its first stream");
  incoming.releaseLock();
  const { hostname, port } = remoteAddr;
  return connectionOf(session, value, formatWebTransportUrl(hostname, port), false);
}
