// The worker's part: one POST asks for one tensor.
import { connect as connectTcp } from "../../../lib/transports/cloudflare.ts";
import { connect as connectWebSocket } from "../../../lib/transports/websocket.ts";
import type { WorkerSocket } from "../../../lib/transports/worker_socket.ts";
import { type Ask, type Dialers, receive, streamPath, webSocketPath } from "./receive.ts";

const SOCKETS = "cloudflare:sockets";

/** What a worker's fetch answers to an upgrade. */
interface Upgraded {
  readonly webSocket: WebSocket & { accept(): void };
}

const dialers: Dialers = {
  connect: ({ transport, port }) =>
    transport === "tcp"
      ? connectTcp(`tcp://127.0.0.1:${port}`)
      : connectWebSocket(`ws://127.0.0.1:${port}`),
  async bare({ transport, port }) {
    if (transport === "tcp") {
      const { connect } = await import(SOCKETS);
      const socket: WorkerSocket = connect({ hostname: "127.0.0.1", port });
      await socket.opened;
      return streamPath(socket.readable, socket.writable);
    }
    const headers = { Upgrade: "websocket" };
    const answer = await fetch(`http://127.0.0.1:${port}`, { headers });
    const { webSocket } = answer as unknown as Upgraded;
    webSocket.binaryType = "arraybuffer";
    webSocket.accept();
    return webSocketPath(webSocket);
  },
};

export default {
  async fetch(request: Request): Promise<Response> {
    try {
      return Response.json(await receive((await request.json()) as Ask, dialers));
    } catch (error) {
      return new Response(String((error as Error)?.stack ?? error), { status: 500 });
    }
  },
};
