import type { Connection, Listener } from "../connection.ts";
import type { TcpConnectOptions, TcpListenOptions } from "../transports/tcp_options.ts";
import { UsageError } from "./describe_error.ts";

/** Whom a dialled peer's certificate has to satisfy. */
type Trust = Pick<TcpConnectOptions, "signal" | "ca" | "pinSha256">;
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
 * The transport that a URL names, as the runtime has it.
 *
 * @throws {UsageError} for a certificate that a WebSocket cannot be held to.
 */
export async function transportOf(url: string, { ca, pinSha256 }: Trust = {}): Promise<Transport> {
  if (!/^(ws|http)s?:/i.test(url)) return tcpTransport();
  if (ca !== undefined || pinSha256 !== undefined) {
    throw new UsageError(
      `${url} is trusted as the runtime trusts web servers: --ca and --pin are for tls://`,
    );
  }
  return webSocketTransport();
}

function tcpTransport(): Promise<Transport> {
  if ("Deno" in globalThis) return import("../transports/tcp_deno.ts");
  if ("Bun" in globalThis) return import("../transports/tcp_bun.ts");
  return import("../transports/tcp_node.ts");
}

function webSocketTransport(): Promise<Transport> {
  if ("Deno" in globalThis) return import("../transports/websocket_deno.ts");
  if ("Bun" in globalThis) return import("../transports/websocket_bun.ts");
  return import("../transports/websocket_node.ts");
}
