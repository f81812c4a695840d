// This module runs in every runtime.

/** The subprotocol that both ends of a WebSocket name. */
export const SUBPROTOCOL = "headrace.2";
/** The longest message. */
export const MOST_MESSAGE_BYTES: number = 1024 * 1024;

/** What a {@linkcode MessageSocket} tells whoever started it. */
export interface MessageEvents {
  /** A whole message; bytes belong to whoever is told. */
  message(data: Uint8Array | string): void;
  /** Nothing comes any more: the code and the reason with which it closed. */
  closed(code: number, reason: string): void;
}

/** The few things in which the runtimes' open WebSockets differ. */
export interface MessageSocket {
  /** The other end, for logs and errors. */
  readonly remote: string;
  /** Called once, first; messages that came before are told now. */
  start(events: MessageEvents): void;
  /**
   * Sends one message.
   *
   * @returns what is kept once its memory may be used again and there is room for more; nothing
   *   where that is at once.
   */
  send(data: Uint8Array | string): Promise<void> | undefined;
  /** Ends it; with `reset` the other end is to see a failure. What was sent still arrives without. */
  close(reset: boolean): void;
}
