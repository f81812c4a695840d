import { TransportError } from "../../lib/errors.ts";
import { connect as connectWebSocket } from "../../lib/transports/websocket.ts";
import {
  connect as connectWebTransport,
  type WebTransportLike,
} from "../../lib/transports/webtransport.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";

const never = new Promise<never>(() => {});

/** Neither opens nor fails. */
class SilentWebSocket extends EventTarget {
  readonly readyState = 0;
  binaryType = "blob";
  close(): void {}
  send(): void {}
}

class SilentWebTransport implements WebTransportLike {
  readonly ready = never;
  readonly closed = never;
  readonly incomingBidirectionalStreams = new ReadableStream<never>();
  createBidirectionalStream(): Promise<never> {
    return never;
  }
  close(): void {}
}

export const dialTimeoutSuite: Suite = ({ test }) => {
  test("dial: what takes longer than connectTimeoutMs is given up", async () => {
    const soon = { connectTimeoutMs: 5 };
    const webSocket = SilentWebSocket as never;
    await assertRejects(
      () => connectWebSocket("ws://peer", { ...soon, WebSocket: webSocket }),
      TransportError,
      /did not answer within 5 ms/,
    );
    await assertRejects(
      () => connectWebTransport("https://peer", { ...soon, WebTransport: SilentWebTransport }),
      TransportError,
      /did not answer within 5 ms/,
    );
  });
};
