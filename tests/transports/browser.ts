// What the transports of a browser must honour, run in a page: both ends are dialled by it, and joined
// by connection_relay.ts.
import type { Connection } from "../../lib/connection.ts";
import { connect as connectWebSocket } from "../../lib/transports/websocket.ts";
import { connect as connectWebTransport } from "../../lib/transports/webtransport.ts";
import type { Harness } from "../harness.ts";
import { type Pair, transportConformance } from "./conformance.ts";

/** Where the relay is. */
export interface RelayUrls {
  readonly websocket: string;
  readonly webtransport: string;
}

const WAYS = { websocket: connectWebSocket, webtransport: connectWebTransport } as const;

/** Both transports of a browser. */
export function browserTransportsSuite({ names, runtime, test }: Harness, urls: RelayUrls): void {
  const here: Harness = {
    names,
    runtime,
    test: (name, body) => test(`${name} (chromium only)`, body),
  };
  for (const name of ["websocket", "webtransport"] as const) {
    const openPair = async (): Promise<Pair> => {
      const key = crypto.getRandomValues(new Uint8Array(8));
      const dial = async (): Promise<Connection> => {
        const connection = await WAYS[name](urls[name]);
        const writer = connection.writable.getWriter();
        await writer.write(key);
        writer.releaseLock();
        return connection;
      };
      return Promise.all([dial(), dial()]);
    };
    // Chromium opens no more than 64 sessions of WebTransport at once, and a pair has two.
    transportConformance(here, `browser ${name}`, openPair, { reset: true, mostAtOnce: 30 });
  }
}
