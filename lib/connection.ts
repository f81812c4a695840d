// This module runs in every runtime.

/**
 * The port of every transport: a duplex of bytes in the shape the web platform already uses.
 *
 * - `readable` yields views that belong to the reader from then on; nothing is read from the link
 *   that nobody asked for, beyond one buffer. It ends on a clean end-of-stream and errors with a
 *   `TransportError` on anything else. Cancelling it resets the link.
 * - `writable` keeps a write pending until the link has taken the bytes, after which the caller may
 *   reuse the buffer. Writes below 4 KiB are copied, count as written at once while there is room,
 *   and leave together with what the same turn writes next. Closing it half-closes the link;
 *   aborting it resets the link.
 * - `closed` settles once both ways are over: fulfilled after an orderly end or a `close()` without
 *   a reason, rejected with the `TransportError` or the reason otherwise. It never causes an
 *   unhandled rejection by itself.
 */
export interface Connection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;
  /** The other end, for logs and errors: `tcp://127.0.0.1:40312`. */
  readonly remote: string;
  /**
   * Ends both ways at once and releases everything; calling it again does nothing. With a `reason`
   * the streams and `closed` error with exactly that, and the peer sees a reset where the transport
   * has one. Without, the streams error with a `TransportError`, and what the link has taken is
   * still delivered, unless bytes are left unread here: a kernel resets such a link.
   */
  close(reason?: unknown): void;
  /**
   * Where a transport has it, the fastest way to read, in place of `readable`: memory is lent, not
   * given, so that one buffer serves every read. `onBytes` is called for what comes, in order, never
   * twice at once. **The view is valid only until `onBytes` returns, or until the promise it returns
   * is kept**; it is overwritten then. While that promise is pending nothing is read: that is the
   * backpressure. Use it as
   * `connection.receive?.(onBytes) ?? connection.readable.pipeTo(new WritableStream({ write: onBytes }))`.
   *
   * Resolves at a clean end-of-stream, rejects with what `readable` would have errored with. If
   * `onBytes` throws, the link is reset, and everything rejects with what was thrown. Locks
   * `readable`, for good.
   *
   * @throws {TypeError} when `readable` is locked or was read from before.
   */
  receive?(onBytes: (view: Uint8Array) => void | Promise<void>): Promise<void>;
  /**
   * How much may wait unread beyond what the round trip takes, where the runtime hands over what
   * came later than its kernel would: as many milliseconds of the link's rate, so many bytes at
   * most. Left out where it does not: 2 ms and 512 KiB.
   */
  readonly slack?: { readonly ms: number; readonly bytes: number };
  /** Further byte paths; they end with the connection. Left out where there is one path only. */
  readonly lanes?: Lanes;
}

/** One further byte path of a connection, in order by itself. */
export interface Duplex extends Pick<Connection, "readable" | "writable" | "receive" | "slack"> {
  /**
   * Where a transport has it: what is written goes before what other lanes of lower priority have
   * written and not sent, 0 to 255.
   */
  prioritise?(priority: number): void;
}

/** Further byte paths beside a connection's own, where a transport has such: order holds within each only. */
export interface Lanes {
  /** Opens another. */
  open(): Promise<Duplex>;
  /** Those that the other end opens. */
  readonly incoming: ReadableStream<Duplex>;
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
