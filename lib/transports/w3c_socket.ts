// This module runs in every runtime.
import { sleep, systemClock } from "../clock.ts";
import type { MessageEvents, MessageSocket } from "./message_socket.ts";

/** Of a WebSocket in the shape that browsers gave it, what is used here. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly readyState: number;
  send(data: Uint8Array | string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: never) => void): void;
}

/** What may wait in the runtime before a writer does. */
const MOST_BUFFERED_BYTES = 1024 * 1024;
/** Nothing tells when there is room again. */
const LOOK_AGAIN_MS = 1;
/** An end that failed; applications may use numbers from 4000 on. */
const RESET_CODE = 4000;
const ORDERLY_CODE = 1000;

/** A WebSocket in the shape that browsers gave it. */
export class W3cSocket implements MessageSocket {
  readonly remote: string;
  readonly #socket: WebSocketLike;
  readonly #early: (Uint8Array | string)[] = [];
  #events: MessageEvents | undefined;
  #closedWhy: string | undefined;

  /** @param socket One that has not told of any message yet. */
  constructor(socket: WebSocketLike, remote: string) {
    this.#socket = socket;
    this.remote = remote;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }: { data: unknown }) => {
      const message = typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer);
      if (this.#events) this.#events.message(message);
      else this.#early.push(message);
    });
    socket.addEventListener("close", ({ code, reason }: { code: number; reason: string }) => {
      this.#closedWhy = `was closed by the other end, code ${code}${reason ? `: ${reason}` : ""}`;
      this.#events?.closed(this.#closedWhy);
    });
  }

  start(events: MessageEvents): void {
    this.#events = events;
    for (const message of this.#early.splice(0)) events.message(message);
    if (this.#closedWhy !== undefined) events.closed(this.#closedWhy);
  }

  send(data: Uint8Array | string): Promise<void> | undefined {
    this.#socket.send(data);
    if (this.#socket.bufferedAmount <= MOST_BUFFERED_BYTES) return undefined;
    return this.#drain();
  }

  close(reset: boolean): void {
    this.#socket.close(reset ? RESET_CODE : ORDERLY_CODE);
  }

  async #drain(): Promise<void> {
    while (this.#socket.bufferedAmount > MOST_BUFFERED_BYTES / 2 && this.#closedWhy === undefined) {
      await sleep(systemClock, LOOK_AGAIN_MS);
    }
  }
}
