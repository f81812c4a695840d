import { type Deferred, deferred } from "../deferred.ts";
import { MessageInbox } from "./message_inbox.ts";
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
  readonly #inbox = new MessageInbox();
  #room: Deferred<void> | undefined;

  constructor(socket: BunWebSocket) {
    this.#socket = socket;
    this.remote = socket.data.remote;
  }

  /** For the server: a message came. */
  message(data: Uint8Array | string): void {
    this.#inbox.message(typeof data === "string" ? data : data.slice());
  }

  /** For the server: there is room again. */
  drained(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** For the server: it is over. */
  closed(code: number, reason: string): void {
    this.#inbox.closed(code, reason);
    this.drained();
  }

  start(events: MessageEvents): void {
    this.#inbox.start(events);
  }

  send(data: Uint8Array | string): Promise<void> | undefined {
    // What was dropped was so because the socket is closed, which it tells by itself.
    if (this.#inbox.isClosed || this.#socket.send(data) !== -1) return undefined;
    this.#room ??= deferred();
    return this.#room.promise;
  }

  close(reset: boolean): void {
    if (reset) this.#socket.terminate();
    else this.#socket.close(1000);
  }
}
