import { systemClock } from "../clock.ts";
import type { Connection, Listener } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { type DenoConn, DenoSocketLink, type DenoSocketListener } from "./deno_socket.ts";
import { LinkConnection } from "./link_connection.ts";
import { tcpError } from "./tcp_errors.ts";
import { DEFAULT_MAX_PENDING_CONNECTIONS, type TcpListenOptions } from "./tcp_options.ts";
import { formatTcpUrl, type TcpAddress } from "./tcp_url.ts";

/** A process out of file descriptors would otherwise spin. */
const RETRY_ACCEPT_MS = 100;

/**
 * Accepts only when somebody asks: what nobody takes waits in the kernel. TLS handshakes run beside
 * each other, so that a slow one holds nobody up.
 */
export class DenoListener implements Listener {
  readonly url: string;
  readonly connections: ReadableStream<Connection>;
  readonly #listener: DenoSocketListener;
  readonly #secure: boolean;
  readonly #options: TcpListenOptions & { readBufferBytes: number };
  readonly #ready: LinkConnection[] = [];
  readonly #shaking = new Set<DenoConn>();
  #controller!: ReadableStreamDefaultController<Connection>;
  #wanted = false;
  #accepting = false;
  #closed = false;
  readonly #onAbort: () => void = () => void this.close();

  constructor(
    listener: DenoSocketListener,
    address: TcpAddress,
    options: TcpListenOptions & { readBufferBytes: number },
  ) {
    this.#listener = listener;
    this.#secure = address.secure;
    this.#options = options;
    this.url = formatTcpUrl({ ...address, port: listener.addr.port });
    this.connections = new ReadableStream<Connection>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#wanted = true;
          this.#deliver();
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    );
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#listener.close();
    for (const conn of this.#shaking) conn.close();
    for (const connection of this.#ready.splice(0)) connection.close();
    try {
      this.#controller.close();
    } catch {
      // Cancelled: closed already.
    }
  }

  #deliver(): void {
    if (!this.#wanted || this.#closed) return;
    const connection = this.#ready.shift();
    if (connection === undefined) {
      if (!this.#accepting) void this.#accept();
      return;
    }
    this.#wanted = false;
    this.#controller.enqueue(connection);
  }

  async #accept(): Promise<void> {
    this.#accepting = true;
    const most = this.#options.maxPendingConnections ?? DEFAULT_MAX_PENDING_CONNECTIONS;
    while (this.#wanted && !this.#closed && this.#shaking.size < most) {
      try {
        this.#welcome(await this.#listener.accept());
      } catch (error) {
        if (this.#closed) break;
        this.#report(error);
        await new Promise<void>((resolve) => systemClock.after(RETRY_ACCEPT_MS, resolve));
      }
    }
    this.#accepting = false;
  }

  #welcome(conn: DenoConn): void {
    conn.setNoDelay?.(this.#options.noDelay ?? true);
    if (this.#options.keepAliveMs !== undefined) conn.setKeepAlive?.(true);
    if (conn.handshake === undefined) this.#add(conn);
    else void this.#shakeHands(conn, conn.handshake());
  }

  async #shakeHands(conn: DenoConn, handshake: Promise<unknown>): Promise<void> {
    const { connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = this.#options;
    let timedOut = false;
    const cancelTimer = systemClock.after(connectTimeoutMs, () => {
      timedOut = true;
      conn.close();
    });
    this.#shaking.add(conn);
    try {
      await handshake;
      this.#shaking.delete(conn);
      this.#add(conn);
    } catch (error) {
      const late = new TransportError(`No TLS handshake within ${connectTimeoutMs} ms.`);
      if (!this.#closed) this.#report(timedOut ? late : error);
      if (!timedOut && !this.#closed) conn.close();
    } finally {
      cancelTimer();
      this.#shaking.delete(conn);
      this.#deliver();
    }
  }

  #add(conn: DenoConn): void {
    const { hostname, port } = conn.remoteAddr;
    const remote = formatTcpUrl({ secure: this.#secure, host: hostname, port });
    const link = new DenoSocketLink(conn, remote, this.#options.readBufferBytes);
    if (this.#closed) {
      link.release(false);
      return;
    }
    this.#ready.push(new LinkConnection(link));
    this.#deliver();
  }

  #report(error: unknown): void {
    this.#options.onError?.(tcpError(`Accepting a connection on ${this.url}`, error));
  }
}
