import type { Connection } from "../../../lib/connection.ts";
import { TransportError } from "../../../lib/errors.ts";

/** What goes wrong with the bytes that an end writes, each at a number of bytes since the beginning. */
export interface Faults {
  /** The link is reset after this many bytes. */
  readonly cutAfterBytes?: number;
  /** The writing side ends in order after this many bytes; the rest is lost. */
  readonly endAfterBytes?: number;
  /** Nothing more is taken after this many bytes. */
  readonly stallAfterBytes?: number;
  /** Offsets of bytes of which one bit is turned. */
  readonly flipAt?: readonly number[];
  /** The most bytes of one write. */
  readonly sliceBytes?: number;
}

/** A connection whose outgoing bytes suffer what `faults` says; counts them as they are taken. */
export class FaultyConnection implements Connection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;
  readonly remote: string;
  /** Bytes that came to the link's other end or were on their way there. */
  writtenBytes = 0;
  readonly #inner: Connection;

  constructor(inner: Connection, faults: Faults = {}) {
    this.#inner = inner;
    this.readable = inner.readable;
    this.closed = inner.closed;
    this.remote = inner.remote;
    const writer = inner.writable.getWriter();
    const { cutAfterBytes = Number.POSITIVE_INFINITY, sliceBytes = 1 << 20 } = faults;
    const { endAfterBytes = Number.POSITIVE_INFINITY } = faults;
    const { stallAfterBytes = Number.POSITIVE_INFINITY } = faults;
    const endsAt = Math.min(cutAfterBytes, endAfterBytes, stallAfterBytes);
    const put = async (bytes: Uint8Array): Promise<void> => {
      const damaged = bytes.slice();
      for (const at of faults.flipAt ?? []) {
        const place = at - this.writtenBytes;
        if (place >= 0 && place < damaged.byteLength) damaged[place] = (damaged[place] ?? 0) ^ 4;
      }
      const taken = damaged.subarray(0, Math.max(0, endsAt - this.writtenBytes));
      this.writtenBytes += taken.byteLength;
      if (taken.byteLength > 0) await writer.write(taken);
      if (this.writtenBytes < endsAt) return;
      if (endsAt === cutAfterBytes) this.close(new TransportError("The test cut the link"));
      else if (endsAt === endAfterBytes) await writer.close();
      await inner.closed;
    };
    this.writable = new WritableStream<Uint8Array>(
      {
        write: async (bytes) => {
          for (let at = 0; at < bytes.byteLength; at += sliceBytes) {
            await put(bytes.subarray(at, at + sliceBytes));
          }
        },
        close: () => writer.close(),
        abort: (reason) => writer.abort(reason),
      },
      { highWaterMark: 1 },
    );
    const failed = (reason: unknown) => this.writable.abort(reason).catch(() => {});
    inner.closed.catch(failed);
  }

  close(reason?: unknown): void {
    this.#inner.close(reason);
  }
}

/** A small generator of numbers from 0 to 1 that gives the same ones for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
