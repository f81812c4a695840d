// This module runs in every runtime.
import type { Connection } from "../connection.ts";
import { deferred } from "../deferred.ts";
import { TransportError } from "../errors.ts";
import { dialWithin } from "./dial_within.ts";
import { LinkConnection } from "./link_connection.ts";
import { MessageLink } from "./message_link.ts";
import { SUBPROTOCOL } from "./message_socket.ts";
import { W3cSocket, type WebSocketLike } from "./w3c_socket.ts";
import type { WebSocketConnectOptions, WebSocketConstructor } from "./websocket_options.ts";

/** Dials with an implementation in the shape that browsers gave it. */
export async function connectWebSocket(
  url: string | URL,
  options: WebSocketConnectOptions,
  Implementation: WebSocketConstructor,
): Promise<Connection> {
  const href = checkUrl(url);
  options.signal?.throwIfAborted();
  const socket = new Implementation(href, SUBPROTOCOL);
  return dialWithin(href, acceptWebSocket(socket, href), options, () => socket.close());
}

/**
 * Makes a connection of a WebSocket that is open, or about to be.
 *
 * @param remote The other end, for logs and errors.
 * @throws {TransportError} when it does not open, or speaks another protocol.
 *
 * @example
 * ```ts
 * import { acceptWebSocket } from "headrace/websocket";
 *
 * // In a worker: the end of a `new WebSocketPair()` that it keeps, after `server.accept()`.
 * export const serve = (server: Parameters<typeof acceptWebSocket>[0]) =>
 *   acceptWebSocket(server, "browser");
 * ```
 */
export async function acceptWebSocket(socket: WebSocketLike, remote: string): Promise<Connection> {
  const opened = deferred<void>();
  const fail = (why: string) => opened.reject(new TransportError(`${remote} ${why}`));
  // Before it is open, so that no message is missed.
  const messages = new W3cSocket(socket, remote);
  socket.addEventListener("open", () => opened.resolve());
  socket.addEventListener("error", ({ message }: { message?: string }) =>
    fail(`cannot be reached${message ? `: ${message}` : ""}`),
  );
  socket.addEventListener("close", ({ code }: { code: number }) =>
    fail(`closed the connection before it was open, code ${code}`),
  );
  if (socket.readyState === OPEN) opened.resolve();
  await opened.promise;
  return new LinkConnection(new MessageLink(messages));
}

const OPEN = 1;

function checkUrl(url: string | URL): string {
  const { protocol, href, username, password } = new URL(url);
  if ((protocol !== "ws:" && protocol !== "wss:") || username || password) {
    throw new TypeError(`A WebSocket's URL is ws://HOST:PORT or wss://HOST:PORT, found "${url}".`);
  }
  return href;
}
