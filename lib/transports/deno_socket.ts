import type { Link, LinkEvents } from "./link.ts";
import { ReadBuffer } from "./read_buffer.ts";
import { tcpError } from "./tcp_errors.ts";

/** Of Deno's `TcpConn` and `TlsConn`, what both have and is used here. */
export interface DenoConn {
  readonly remoteAddr: { readonly hostname: string; readonly port: number };
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
  /** TCP only. */
  setNoDelay?(noDelay?: boolean): void;
  /** TCP only. */
  setKeepAlive?(keepAlive?: boolean): void;
  /** TLS only. */
  handshake?(): Promise<unknown>;
}

/** Of Deno's listeners, what is used here. */
export interface DenoSocketListener {
  readonly addr: { readonly hostname: string; readonly port: number };
  accept(): Promise<DenoConn>;
  close(): void;
}

/** Of the `Deno` global, what is used here. */
export interface DenoNet {
  connect(options: { hostname: string; port: number; signal?: AbortSignal }): Promise<DenoConn>;
  startTls(conn: DenoConn, options: { hostname: string; caCerts?: string[] }): Promise<DenoConn>;
  listen(options: { hostname: string; port: number }): DenoSocketListener;
  listenTls(options: {
    hostname: string;
    port: number;
    cert: string;
    key: string;
  }): DenoSocketListener;
}

/** A connected native socket of Deno's as a {@linkcode Link}. Deno has no reset: it closes. */
export class DenoSocketLink implements Link {
  readonly remote: string;
  readonly #socket: DenoConn;
  readonly #memory: ReadBuffer;
  #events: LinkEvents | undefined;
  #lend = false;
  #reading = false;
  #released = false;

  constructor(socket: DenoConn, remote: string, readBufferBytes: number) {
    this.#socket = socket;
    this.remote = remote;
    this.#memory = new ReadBuffer(readBufferBytes);
  }

  start(events: LinkEvents): void {
    this.#events = events;
  }

  resume(lend: boolean): void {
    this.#lend = lend;
    if (!this.#reading && !this.#released) void this.#readOn();
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    try {
      for (const piece of pieces) {
        let sentBytes = 0;
        while (sentBytes < piece.byteLength) {
          sentBytes += await this.#socket.write(piece.subarray(sentBytes));
        }
      }
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async end(): Promise<void> {
    try {
      await this.#socket.closeWrite();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  release(_reset: boolean): void {
    if (this.#released) return;
    this.#released = true;
    this.#socket.close();
  }

  async #readOn(): Promise<void> {
    this.#reading = true;
    try {
      let more = true;
      while (more && !this.#released) {
        const lent = this.#lend;
        const buffer = this.#memory.next(lent);
        const bytesRead = await this.#socket.read(buffer);
        if (this.#released) return;
        if (bytesRead === null) return this.#events?.end();
        if (!lent) this.#memory.taken(buffer, bytesRead);
        more = this.#events?.bytes(buffer.subarray(0, bytesRead)) ?? false;
      }
    } catch (error) {
      if (!this.#released) this.#events?.fail(this.#explain(error));
    } finally {
      this.#reading = false;
    }
  }

  #explain(error: unknown): Error {
    return tcpError(`The connection to ${this.remote}`, error);
  }
}
