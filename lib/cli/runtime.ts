import type { Connection, Listener } from "../connection.ts";
import type { TcpConnectOptions, TcpListenOptions } from "../transports/tcp_options.ts";

interface TcpTransport {
  connect(url: string | URL, options?: TcpConnectOptions): Promise<Connection>;
  listen(url: string | URL, options?: TcpListenOptions): Promise<Listener>;
}

/** The TCP transport of the runtime that the command line runs in. */
export function tcpTransport(): Promise<TcpTransport> {
  if ("Deno" in globalThis) return import("../transports/tcp_deno.ts");
  if ("Bun" in globalThis) return import("../transports/tcp_bun.ts");
  return import("../transports/tcp_node.ts");
}
