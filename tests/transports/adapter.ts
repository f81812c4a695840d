import * as bun from "../../lib/transports/tcp_bun.ts";
import * as deno from "../../lib/transports/tcp_deno.ts";
import * as node from "../../lib/transports/tcp_node.ts";

/** What each runtime's TCP adapter exports. */
export type TcpAdapter = Pick<typeof node, "connect" | "listen">;

/** The adapter made for a runtime, by the harness's name of it. */
export function tcpAdapterOf(runtime: string): TcpAdapter {
  return runtime === "deno" ? deno : runtime === "bun" ? bun : node;
}
