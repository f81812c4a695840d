import type { Connect, Connection, Listener } from "../connection.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { firstConnected } from "../transports/first_connected.ts";
import type { TcpConnectOptions, TcpListenOptions } from "../transports/tcp_options.ts";
import { UsageError } from "./describe_error.ts";

/** Whom a dialled peer's certificate has to satisfy. */
type Trust = Pick<TcpConnectOptions, "signal" | "connectTimeoutMs" | "ca" | "pinSha256">;
/** How a listener shows who it is. */
interface Proof extends Pick<TcpListenOptions, "signal" | "cert" | "key"> {
  /** Answers plain requests, where the transport can. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Whom a web server answers, where it is one. */
  readonly hosts?: readonly string[];
  readonly origins?: readonly string[];
}

interface Transport {
  connect(url: string, options?: Trust): Promise<Connection>;
  listen(url: string, options?: Proof): Promise<Listener>;
}

/**
 * How to dial a URL, as the runtime can: `https://` by WebTransport where there is one, and by
 * WebSocket where that does not get through.
 *
 * @throws {UsageError} for a certificate that the transport cannot be held to.
 */
export async function connectorOf(
  url: string,
  trust: Omit<Trust, "signal"> = {},
): Promise<Connect> {
  const { href, pin } = unpinned(url);
  const { ca, pinSha256 = pin, connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = trust;
  const wanted = { ...(ca !== undefined && { ca }), ...(pinSha256 !== undefined && { pinSha256 }) };
  const isTrusting = ca !== undefined || pinSha256 !== undefined;
  if (isTrusting && /^(tcp|ws):/i.test(url)) {
    throw new UsageError(
      `${url} has no certificate: --ca and --pin are for tls://, wss:// and https://`,
    );
  }
  if (/^(tcp|tls):/i.test(url)) {
    const { connect } = await tcpTransport();
    return (signal) => connect(href, { signal, connectTimeoutMs, ...wanted });
  }
  const ways: Connect[] = [];
  if (/^https:/i.test(url) && ca === undefined && "WebTransport" in globalThis) {
    const { connect } = await import("../transports/webtransport.ts");
    const pinned = pinSha256 === undefined ? href : `${href}#sha256=${pinSha256}`;
    ways.push((signal) => connect(pinned, { signal, connectTimeoutMs }));
  }
  // Only Node's WebSockets show the certificate that they got.
  if (pinSha256 === undefined || runtimeName() === "node") {
    const { connect } = await webSocketTransport();
    const socketUrl = href.replace(/^http/i, "ws");
    ways.push((signal) => connect(socketUrl, { signal, connectTimeoutMs, ...wanted }));
  }
  if (ways.length > 0) return firstConnected(ways);
  const deno = runtimeName() === "deno" ? "run Deno with --unstable-net for WebTransport, " : "";
  throw new UsageError(
    `${url} cannot be held to one certificate in this runtime: ${deno}give its authority by --ca, use tls://, or run headrace in Node`,
  );
}

/**
 * Listens at a URL, as the runtime can: `https://` is WebSocket and plain requests on TCP, and
 * where the runtime has it WebTransport on the same port of UDP.
 */
export async function listenOn(url: string, options: Proof): Promise<Listener[]> {
  if (!/^(ws|http)s?:/i.test(url)) return [await (await tcpTransport()).listen(url, options)];
  const { fetch: _, origins: _origins, ...rest } = options;
  const listener = await (await webSocketTransport()).listen(url, options);
  const { Deno } = globalThis as { Deno?: { QuicEndpoint?: unknown } };
  if (!/^https:/i.test(url) || !Deno?.QuicEndpoint) return [listener];
  const { listen } = await import("../transports/webtransport_deno.ts");
  try {
    return [listener, await listen(listener.url, rest)];
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** A URL without the pin that it may end with. */
function unpinned(url: string): { readonly href: string; readonly pin?: string } {
  const [href = "", pin] = url.split("#sha256=");
  return { href, ...(pin !== undefined && { pin }) };
}

function runtimeName(): "deno" | "bun" | "node" {
  if ("Deno" in globalThis) return "deno";
  return "Bun" in globalThis ? "bun" : "node";
}

function tcpTransport(): Promise<Transport> {
  if (runtimeName() === "deno") return import("../transports/tcp_deno.ts");
  if (runtimeName() === "bun") return import("../transports/tcp_bun.ts");
  return import("../transports/tcp_node.ts");
}

function webSocketTransport(): Promise<Transport> {
  if (runtimeName() === "deno") return import("../transports/websocket_deno.ts");
  if (runtimeName() === "bun") return import("../transports/websocket_bun.ts");
  return import("../transports/websocket_node.ts");
}
