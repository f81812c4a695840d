import type { TLSSocket } from "node:tls";
import { TransportError } from "../errors.ts";
import { CappedWebSocket } from "./capped_websocket.ts";
import { parsePin, type TcpConnectOptions } from "./tcp_options.ts";
import type { WebSocketConstructor } from "./websocket_options.ts";

/** A WebSocket of Node's that trusts as it is told. */
export interface TrustingWebSocket {
  readonly Implementation: WebSocketConstructor;
  /** Why the last one was let go of, if its certificate was another. */
  refusal(): TransportError | undefined;
}

/**
 * Makes WebSockets that trust an authority of the caller's, or just one certificate.
 *
 * @throws {TypeError} when the pin is not a SHA-256.
 */
export function trustingWebSocket(
  url: string,
  { ca, pinSha256 }: Pick<TcpConnectOptions, "ca" | "pinSha256">,
): TrustingWebSocket {
  const pin = pinSha256 === undefined ? undefined : parsePin(pinSha256);
  let refusal: TransportError | undefined;
  class Trusting extends CappedWebSocket {
    constructor(href: string, protocols: string | string[]) {
      // A pin is checked after the handshake and stands in for the chain and the name.
      super(href, protocols, { ...(ca !== undefined && { ca }), rejectUnauthorized: !pin });
      if (pin === undefined) return;
      this.on("upgrade", ({ socket }) => {
        const { fingerprint256 } = (socket as TLSSocket).getPeerCertificate?.() ?? {};
        const found = fingerprint256?.replaceAll(":", "").toLowerCase();
        if (found === pin) return;
        refusal = new TransportError(
          `Connecting to ${url} failed: the peer's certificate has the SHA-256 ${found}, wanted ${pin}.`,
          { retryable: false },
        );
        this.terminate();
      });
    }
  }
  return {
    Implementation: Trusting as unknown as WebSocketConstructor,
    refusal: () => refusal,
  };
}
