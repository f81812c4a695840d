import * as bun from "../../lib/transports/websocket_bun.ts";
import * as deno from "../../lib/transports/websocket_deno.ts";
import * as node from "../../lib/transports/websocket_node.ts";

/** What each runtime's WebSocket adapter exports. */
export type WebSocketAdapter = Pick<typeof node, "connect" | "listen">;

/** The adapter made for a runtime, by the harness's name of it. */
export function webSocketAdapterOf(runtime: string): WebSocketAdapter {
  return runtime === "deno" ? deno : runtime === "bun" ? bun : node;
}
