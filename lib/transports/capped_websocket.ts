import { type ClientOptions, WebSocket } from "ws";
import { MOST_MESSAGE_BYTES } from "./message_socket.ts";

/** The WebSocket of `ws`, which takes no message that is longer than any may be, also once it is inflated. */
export class CappedWebSocket extends WebSocket {
  constructor(url: string, protocols: string | string[], options: ClientOptions = {}) {
    super(url, protocols, {
      maxPayload: MOST_MESSAGE_BYTES,
      perMessageDeflate: false,
      ...options,
    });
  }
}
