// The page's part: `receive` for whoever drives it.
import { connect as connectWebSocket } from "../../../lib/transports/websocket.ts";
import { connect as connectWebTransport } from "../../../lib/transports/webtransport.ts";
import {
  type Ask,
  type Dialers,
  type Received,
  receive,
  streamPath,
  webSocketPath,
} from "./receive.ts";

const dialers: Dialers = {
  connect: ({ transport, port, sha256 }) =>
    transport === "websocket"
      ? connectWebSocket(`ws://127.0.0.1:${port}`)
      : connectWebTransport(`https://127.0.0.1:${port}#sha256=${sha256}`),
  async bare({ transport, port, sha256 }) {
    if (transport === "websocket") {
      const socket = new WebSocket(`ws://127.0.0.1:${port}`);
      socket.binaryType = "arraybuffer";
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      return webSocketPath(socket);
    }
    const value = Uint8Array.from(sha256.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    const session = new WebTransport(`https://127.0.0.1:${port}`, {
      serverCertificateHashes: [{ algorithm: "sha-256", value }],
    });
    await session.ready;
    const { readable, writable } = await session.createBidirectionalStream();
    const path = streamPath(readable, writable);
    // The other end sees a stream once something comes over it.
    await path.send(Uint8Array.of(0));
    return path;
  },
};

/** For the script that drives the page. */
export interface ReachPage {
  receive(ask: Ask): Promise<Received>;
}

const page: ReachPage = { receive: (ask) => receive(ask, dialers) };
Object.assign(globalThis, { reachPage: page });
