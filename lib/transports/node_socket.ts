import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Link, LinkEvents } from "./link.ts";
import { ReadBuffer } from "./read_buffer.ts";
import { tcpError } from "./tcp_errors.ts";

/** How a runtime's `node:net` is fastest; see `bench/tcp_reading.ts`. */
export interface NodeStrategy {
  /** Whether plain sockets read into our memory (`onread`). */
  readonly onread: boolean;
  /** The size of that memory. */
  readonly readBufferBytes: number;
  /** Whether corked writes leave by `writev`; where they are put together by a copy, they cost more. */
  readonly writev: boolean;
}

/**
 * Has `node:net` read into memory of ours: the `onread` option of `net.connect`. Without it the
 * runtime allocates 64 KiB for each read, which costs more than moving the bytes. For accepted
 * sockets see `node_accept.ts`.
 */
export class NodeReads {
  readonly onread: {
    buffer(): Uint8Array;
    callback(bytesRead: number, buffer: Uint8Array): boolean;
  };
  /** Whether views need to live during the callback only. */
  lend = false;
  /** Takes what was read; returns whether to go on. */
  onBytes: (view: Uint8Array) => boolean = () => false;

  constructor(readBufferBytes: number) {
    const memory = new ReadBuffer(readBufferBytes);
    this.onread = {
      buffer: () => memory.next(this.lend),
      callback: (bytesRead, buffer) => {
        if (!this.lend) memory.taken(buffer, bytesRead);
        return this.onBytes(buffer.subarray(0, bytesRead));
      },
    };
  }
}

/** A connected `node:net` or `node:tls` socket as a {@linkcode Link}. */
export class NodeSocketLink implements Link {
  readonly remote: string;
  readonly #socket: Socket;
  readonly #writev: boolean;
  readonly #reads: NodeReads | undefined;
  #events: LinkEvents | undefined;
  #ended = false;
  #released = false;

  /** @param reads what the socket was dialled with; without it, its `data` events are used. */
  constructor(socket: Socket, remote: string, writev: boolean, reads?: NodeReads) {
    this.#socket = socket;
    this.#writev = writev;
    this.remote = remote;
    this.#reads = reads;
    socket.pause();
  }

  start(events: LinkEvents): void {
    this.#events = events;
    const socket = this.#socket;
    if (this.#reads === undefined) {
      socket.on("data", (bytes: Uint8Array) => {
        if (!events.bytes(ownView(bytes))) socket.pause();
      });
    } else {
      this.#reads.onBytes = (view) => events.bytes(ownView(view));
    }
    socket.on("end", () => {
      this.#ended = true;
      events.end();
    });
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => {
      if (!this.#ended) this.#fail(new Error("the connection was cut"));
    });
  }

  resume(lend: boolean): void {
    if (this.#reads !== undefined) this.#reads.lend = lend;
    this.#socket.resume();
  }

  write(pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket;
      if (this.#writev) socket.cork();
      pieces.forEach((piece, index) => {
        if (index < pieces.length - 1) socket.write(piece);
        else socket.write(piece, (error) => (error ? reject(this.#explain(error)) : resolve()));
      });
      if (this.#writev) socket.uncork();
    });
  }

  end(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.end((error?: Error | null) =>
        error ? reject(this.#explain(error)) : resolve(),
      );
    });
  }

  release(reset: boolean): void {
    if (this.#released) return;
    this.#released = true;
    destroySocket(this.#socket, reset);
  }

  #fail(error: unknown): void {
    if (!this.#released) this.#events?.fail(this.#explain(error));
  }

  #explain(error: unknown): Error {
    return tcpError(`The connection to ${this.remote}`, error);
  }
}

/**
 * Closes a socket, with a reset where there is one: TLS has none, and a socket whose end is on its
 * way refuses it, after which Node would keep it open for ever.
 */
export function destroySocket(socket: Socket, reset: boolean): void {
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (reset && !isEnding && !(socket instanceof TLSSocket)) socket.resetAndDestroy();
  else socket.destroy();
}

/** A plain `Uint8Array`: a `Buffer` changes what `slice` means. */
function ownView(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
