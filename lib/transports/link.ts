// This module runs in every runtime.
import type { Connection } from "../connection.ts";

/** What a {@linkcode Link} tells the connection above it. */
export interface LinkEvents {
  /** Bytes came. Returns whether more are wanted now; otherwise `resume` is called later. */
  bytes(view: Uint8Array): boolean;
  /** The peer sends no more. */
  end(): void;
  /** The link failed; it is released next. */
  fail(error: unknown): void;
}

/**
 * The few things in which runtimes' sockets differ. Everything else, the streams, coalescing,
 * lending and closing, is in `link_connection.ts` once for all.
 */
export interface Link {
  /** The other end, for logs and errors. */
  readonly remote: string;
  /** As a connection's. */
  readonly slack?: NonNullable<Connection["slack"]>;
  /** Called once, first. Nothing is read before `resume`. */
  start(events: LinkEvents): void;
  /**
   * Lets bytes come until `events.bytes` returns false. With `lend` a view is looked at during the
   * call only, so that its memory may be used again; without, it belongs to the reader. May be
   * called while bytes are being handed over.
   */
  resume(lend: boolean): void;
  /**
   * Sends the pieces in order, by one system call where there is such; resolves when the link has
   * taken every byte, rejects with what ended it. Called again only after that.
   */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** Half-closes: the peer sees the end once it has read everything. */
  end(): Promise<void>;
  /**
   * Gives everything back; a pending `write` settles. With `reset` the peer learns of it as an
   * error, and bytes that are under way may be lost; without, they are delivered.
   */
  release(reset: boolean): void;
}
