// This module runs in every runtime.

/**
 * The port of every transport: a duplex of bytes in the shape the web platform already uses.
 *
 * - `readable` yields views that belong to the reader from then on; nothing is read from the link
 *   that nobody asked for, beyond one buffer. It ends on a clean end-of-stream and errors with a
 *   `TransportError` on anything else.
 * - `writable` keeps a write pending until the link has taken the bytes, after which the caller may
 *   reuse the buffer. Closing it half-closes the link; aborting it resets the link.
 * - `closed` settles once both ways are over: fulfilled after an orderly end, rejected with the
 *   `TransportError` otherwise. It never causes an unhandled rejection by itself.
 */
export interface Connection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;
  /** The other end, for logs and errors: `tcp://127.0.0.1:40312`. */
  readonly remote: string;
  /** Ends both ways at once and releases everything; `reason` is what the streams then error with. */
  close(reason?: unknown): void;
}

/** Makes a new connection to the same peer; called again after a cut. */
export type Connect = (signal?: AbortSignal) => Promise<Connection>;

/** A place that takes connections. */
export interface Listener {
  /** Where it listens, with the port that was picked: `tcp://127.0.0.1:12094`. */
  readonly url: string;
  /** New connections, in the order they came; ends when the listener is closed. */
  readonly connections: ReadableStream<Connection>;
  /** Takes no more connections; those that were taken go on. */
  close(): Promise<void>;
}
