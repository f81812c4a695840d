// This module runs in every runtime.
import { sleep, systemClock } from "../clock.ts";
import { eventTurn } from "../event_turn.ts";
import { MessageInbox } from "./message_inbox.ts";
import type { MessageEvents, MessageSocket } from "./message_socket.ts";

/** Of a WebSocket in the shape that browsers gave it, what is used here. */
export interface WebSocketLike {
  binaryType: string;
  /** Not in workers. */
  readonly bufferedAmount?: number;
  readonly readyState: number;
  /** Queues one message. */
  send(data: Uint8Array | string): void;
  /** Begins the closing handshake. */
  close(code?: number, reason?: string): void;
  /** Hears `message`, `close`, `error` and, before it is open, `open`. */
  addEventListener(type: string, listener: (event: never) => void): void;
}

/** With this waiting the runtime is given a turn: some send nothing while messages are made. */
const TURN_BYTES = 256 * 1024;
/** What may wait in the runtime before a writer does. */
const MOST_BUFFERED_BYTES = 4 * 1024 * 1024;
/** Nothing tells when there is room again. */
const LOOK_AGAIN_MS = 1;
const OPEN = 1;
/** An end that failed; applications may use numbers from 4000 on. */
const RESET_CODE = 4000;
const ORDERLY_CODE = 1000;

/** A WebSocket in the shape that browsers gave it. */
export class W3cSocket implements MessageSocket {
  readonly remote: string;
  readonly #socket: WebSocketLike;
  readonly #inbox = new MessageInbox();

  /** @param socket One that has not told of any message yet. */
  constructor(socket: WebSocketLike, remote: string) {
    this.#socket = socket;
    this.remote = remote;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }: { data: unknown }) => {
      this.#inbox.message(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
    });
    socket.addEventListener("close", ({ code, reason }: { code: number; reason: string }) =>
      this.#inbox.closed(code, reason),
    );
  }

  start(events: MessageEvents): void {
    this.#inbox.start(events);
  }

  send(data: Uint8Array | string): Promise<void> | undefined {
    // One that is closing tells so by itself; some runtimes throw instead of dropping what is sent.
    if (this.#socket.readyState !== OPEN) return undefined;
    this.#socket.send(this.#isTelling || typeof data === "string" ? data : data.slice());
    return this.#bufferedBytes <= TURN_BYTES ? undefined : this.#drain();
  }

  close(reset: boolean): void {
    this.#socket.close(reset ? RESET_CODE : ORDERLY_CODE);
  }

  /** Workers' own tell nothing, and read what they were given to send after `send` has returned. */
  get #isTelling(): boolean {
    return this.#socket.bufferedAmount !== undefined;
  }

  get #bufferedBytes(): number {
    return this.#socket.bufferedAmount ?? 0;
  }

  async #drain(): Promise<void> {
    await eventTurn();
    while (this.#bufferedBytes > MOST_BUFFERED_BYTES && !this.#inbox.isClosed) {
      await sleep(systemClock, LOOK_AGAIN_MS);
    }
  }
}
