import { systemClock } from "../clock.ts";
import type { Connection, Listener } from "../session/connection.ts";
import { DenoSocketLink, type DenoTcpListener } from "./deno_socket.ts";
import { LinkConnection } from "./link_connection.ts";
import { tcpError } from "./tcp_errors.ts";
import type { TcpListenOptions } from "./tcp_options.ts";
import { formatTcpUrl, type TcpAddress } from "./tcp_url.ts";

/** A process out of file descriptors would otherwise spin. */
const RETRY_ACCEPT_MS = 100;

/** Accepts only when somebody asks: what nobody takes waits in the kernel. */
export class DenoListener implements Listener {
  readonly url: string;
  readonly connections: ReadableStream<Connection>;
  readonly #listener: DenoTcpListener;
  readonly #options: TcpListenOptions & { readBufferBytes: number };
  #controller!: ReadableStreamDefaultController<Connection>;
  #closed = false;
  readonly #onAbort: () => void = () => void this.close();

  constructor(
    listener: DenoTcpListener,
    address: TcpAddress,
    options: TcpListenOptions & { readBufferBytes: number },
  ) {
    this.#listener = listener;
    this.#options = options;
    this.url = formatTcpUrl({ ...address, port: listener.addr.port });
    this.connections = new ReadableStream<Connection>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#accept(),
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
    try {
      this.#controller.close();
    } catch {
      // Cancelled: closed already.
    }
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      try {
        const socket = await this.#listener.accept();
        socket.setNoDelay(this.#options.noDelay ?? true);
        if (this.#options.keepAliveMs !== undefined) socket.setKeepAlive(true);
        const { hostname, port } = socket.remoteAddr;
        const remote = formatTcpUrl({ secure: false, host: hostname, port });
        const link = new DenoSocketLink(socket, remote, this.#options.readBufferBytes);
        if (this.#closed) return link.release(true);
        this.#controller.enqueue(new LinkConnection(link));
        return;
      } catch (error) {
        if (this.#closed) return;
        this.#options.onError?.(tcpError(`Accepting a connection on ${this.url}`, error));
        await new Promise<void>((resolve) => systemClock.after(RETRY_ACCEPT_MS, resolve));
      }
    }
  }
}
