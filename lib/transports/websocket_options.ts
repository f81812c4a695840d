// This module runs in every runtime.
import type { TransportError } from "../errors.ts";
import type { OriginRules } from "../origin_rules.ts";
import type { WebSocketLike } from "./w3c_socket.ts";

/** Makes a WebSocket in the shape that browsers gave it. */
export type WebSocketConstructor = new (url: string, protocols: string | string[]) => WebSocketLike;

/** How to dial. */
export interface WebSocketConnectOptions {
  /** Gives up dialling; the promise rejects with `signal.reason`. It has no say afterwards. */
  readonly signal?: AbortSignal | undefined;
  /** For all that it takes until the socket is open, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Another implementation than the runtime's own. */
  readonly WebSocket?: WebSocketConstructor;
}

/** How to dial in a runtime whose WebSockets can be told whom to trust. */
export interface TrustingConnectOptions extends WebSocketConnectOptions {
  /** Certificate authorities in PEM that are trusted instead of the runtime's own; in Deno beside them. */
  readonly ca?: string;
}

/** Whom to take connections from, and how many. */
export interface WebSocketUpgradeOptions extends OriginRules {
  /** Closes the listener when aborted; before it listens, what is thrown is `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Connections that nobody has taken yet; further ones are refused. Default 256. */
  readonly maxPendingConnections?: number;
  /** Told of connections that failed before they could be taken; listening goes on. */
  onError?(error: TransportError): void;
}

/** How to take connections at a server that is somebody else's. */
export interface WebSocketAttachOptions extends WebSocketUpgradeOptions {
  /** Takes only what asks for this path, and leaves the rest to others; default: all. */
  readonly path?: string;
}

/** How to listen. */
export interface WebSocketListenOptions extends WebSocketUpgradeOptions {
  /** The certificate chain in PEM; `wss://` needs it. */
  readonly cert?: string;
  /** The private key in PEM; `wss://` needs it. */
  readonly key?: string;
  /** Answers requests that are not for a WebSocket, as `createHandler` makes it; default: with 426. */
  readonly fetch?: (request: Request) => Promise<Response>;
}
