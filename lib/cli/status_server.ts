import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createStatusHandler, type StatusHandlerOptions } from "../status/status_handler.ts";
import { respond } from "../transports/node_responder.ts";
import { tcpError } from "../transports/tcp_errors.ts";
import { UsageError } from "./describe_error.ts";
import { isLoopback } from "./listen_policy.ts";

/** A certificate and its key, where the status is not for this machine alone. */
export interface StatusTls {
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Where `--status HOST:PORT` listens: by `https://` off loopback where there is a certificate.
 *
 * @throws {UsageError} for what is no host and port.
 */
export function statusUrlOf(text: string, { cert }: { readonly cert?: string | undefined }): URL {
  const match = /^(\[[\da-f:.]+\]|[^:/@?#\s]+):(\d{1,5})$/i.exec(text);
  const [, host = "", port] = match ?? [];
  if (!match || Number(port) > 65535) {
    throw new UsageError(`--status takes HOST:PORT, such as 127.0.0.1:8080, found "${text}"`);
  }
  const scheme = cert !== undefined && !isLoopback(host) ? "https" : "http";
  return new URL(`${scheme}://${host}:${port}`);
}

/** Shows the status of a node at a place of its own. */
export class StatusServer {
  readonly #server: Server;
  /** Where it is: `http://127.0.0.1:40123`. */
  readonly url: string;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  /** @throws {TransportError} when the port is in use or the address is not this machine's. */
  static async open(
    url: URL,
    options: Omit<StatusHandlerOptions, "hosts" | "protectReads">,
    tls: StatusTls,
  ): Promise<StatusServer> {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const secure = url.protocol === "https:";
    const handler = createStatusHandler({
      ...options,
      hosts: [url.hostname],
      // What moves is not everybody's business either.
      protectReads: options.authorise !== undefined && !isLoopback(url.hostname),
    });
    // Node loads what it makes answers with at the first one: now, not while tensors move.
    await handler(new Request(new URL("/healthz", url)));
    const server = secure ? createHttpsServer({ ...tls }) : createHttpServer();
    server.on("request", (request, response) => {
      respond(request, response, secure, handler).catch(() => response.destroy());
    });
    const port = Number(url.port || (secure ? 443 : 80));
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error) => reject(tcpError(`Listening on ${url.origin}`, error));
      server.once("error", onError);
      server.listen({ host, port }, () => {
        server.off("error", onError);
        resolve();
      });
    });
    // From here on an error is about one connection; the others go on.
    server.on("error", () => {});
    const bound = server.address();
    const found = bound !== null && typeof bound === "object" ? bound.port : port;
    return new StatusServer(server, `${url.protocol}//${url.hostname}:${found}`);
  }

  /** Listeners of events are let go of too. */
  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
