// This module runs in every runtime.
import type { MessageEvents } from "./message_socket.ts";

/** What a socket tells before anybody has started to listen waits here. */
export class MessageInbox {
  readonly #early: (Uint8Array | string)[] = [];
  #events: MessageEvents | undefined;
  #end: { readonly code: number; readonly reason: string } | undefined;

  /** Whether nothing comes any more. */
  get isClosed(): boolean {
    return this.#end !== undefined;
  }

  /** Somebody listens from now on. */
  start(events: MessageEvents): void {
    this.#events = events;
    for (const message of this.#early.splice(0)) events.message(message);
    if (this.#end) events.closed(this.#end.code, this.#end.reason);
  }

  /** A message came. */
  message(data: Uint8Array | string): void {
    if (this.#events) this.#events.message(data);
    else this.#early.push(data);
  }

  /** It is over. */
  closed(code: number, reason: string): void {
    this.#end = { code, reason };
    this.#events?.closed(code, reason);
  }
}
