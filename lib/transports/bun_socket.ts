import { type Deferred, deferred } from "../deferred.ts";
import type { MessageEvents, MessageSocket } from "./message_socket.ts";

/** Of Bun's server-side WebSocket, what is used here. */
export interface BunWebSocket {
  readonly data: BunSocketData;
  /** Above 0: that many bytes were sent; -1: they wait; 0: they were dropped. */
  send(data: Uint8Array | string): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

/** What a socket of Bun's carries along. */
export interface BunSocketData {
  readonly remote: string;
  socket?: BunSocket;
}

/** A WebSocket as Bun's server makes them: it calls back the server, not the socket. */
export class BunSocket implements MessageSocket {
  readonly remote: string;
  readonly #socket: BunWebSocket;
  readonly #early: (Uint8Array | string)[] = [];
  #events: MessageEvents | undefined;
  #closedWhy: string | undefined;
  #room: Deferred<void> | undefined;

  constructor(socket: BunWebSocket) {
    this.#socket = socket;
    this.remote = socket.data.remote;
  }

  /** For the server: a message came. */
  message(data: Uint8Array | string): void {
    const own = typeof data === "string" ? data : data.slice();
    if (this.#events) this.#events.message(own);
    else this.#early.push(own);
  }

  /** For the server: there is room again. */
  drained(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** For the server: it is over. */
  closed(code: number, reason: string): void {
    this.#closedWhy = `was closed by the other end, code ${code}${reason ? `: ${reason}` : ""}`;
    this.drained();
    this.#events?.closed(this.#closedWhy);
  }

  start(events: MessageEvents): void {
    this.#events = events;
    for (const message of this.#early.splice(0)) events.message(message);
    if (this.#closedWhy !== undefined) events.closed(this.#closedWhy);
  }

  send(data: Uint8Array | string): Promise<void> | undefined {
    // What was dropped was so because the socket is closed, which it tells by itself.
    if (this.#closedWhy !== undefined || this.#socket.send(data) !== -1) return undefined;
    this.#room ??= deferred();
    return this.#room.promise;
  }

  close(reset: boolean): void {
    if (reset) this.#socket.terminate();
    else this.#socket.close(1000);
  }
}
