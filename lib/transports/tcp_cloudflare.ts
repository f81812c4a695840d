import { systemClock } from "../clock.ts";
import type { Connection } from "../connection.ts";
import { abortable, deferred } from "../deferred.ts";
import { TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { LinkConnection } from "./link_connection.ts";
import { connectTimeoutError, tcpError } from "./tcp_errors.ts";
import { formatTcpUrl, parseTcpUrl } from "./tcp_url.ts";
import { type WorkerSocket, WorkerSocketLink } from "./worker_socket.ts";

/** `connect` of `cloudflare:sockets`, or what acts like it. */
export type WorkerConnect = (
  address: { readonly hostname: string; readonly port: number },
  options: { readonly secureTransport: "on" | "off"; readonly allowHalfOpen: boolean },
) => WorkerSocket;

/** How to dial from a worker. */
export interface WorkerConnectOptions {
  /** Gives up dialling; the promise rejects with `signal.reason`. It has no say afterwards. */
  readonly signal?: AbortSignal | undefined;
  /** For name lookup, connection and TLS handshake together, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** The most that one read takes, in bytes. Default 256 KiB. */
  readonly readBufferBytes?: number;
  /**
   * Another `connect` than that of `cloudflare:sockets`: a binding's (`env.VPC.connect`), or the
   * module's own where a bundler cannot leave its import alone.
   */
  readonly connect?: WorkerConnect;
}

/** A string to bundlers and type checkers, which do not know the module and need not look for it. */
const MODULE: string = "cloudflare:sockets";
const READ_BUFFER_BYTES = 256 * 1024;

/**
 * Dials `tcp://HOST:PORT` or `tls://HOST:PORT` from a Cloudflare worker, through
 * `cloudflare:sockets`. A reset is a plain close there, both ways. TLS trusts the authorities of the
 * runtime and takes the name from the URL; another certificate can be neither trusted nor pinned.
 *
 * A worker's connection belongs to the request in which it was made, and so does its peer.
 *
 * @throws {TypeError} when the URL is not such an address.
 * @throws {TransportError} when there is no connection, with the reason in one line. When `signal`
 * is aborted, what is thrown is `signal.reason`.
 *
 * @example
 * ```ts
 * import { TensorPeer } from "headrace";
 * import { connect } from "headrace/cloudflare";
 *
 * export default {
 *   async fetch(): Promise<Response> {
 *     const peer = new TensorPeer((signal) => connect("tcp://weights.example:12094", { signal }));
 *     const names = (await peer.list("gpt2")).map(({ address }) => address.tensor);
 *     await peer.close();
 *     return Response.json(names);
 *   },
 * };
 * ```
 */
export async function connect(
  url: string | URL,
  options: WorkerConnectOptions = {},
): Promise<Connection> {
  const { secure, host: hostname, port } = parseTcpUrl(url);
  const remote = formatTcpUrl({ secure, host: hostname, port });
  const attempt = `Connecting to ${remote}`;
  const { signal, readBufferBytes = READ_BUFFER_BYTES } = options;
  const { connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = options;
  if (!Number.isSafeInteger(readBufferBytes) || readBufferBytes < 1) {
    throw new RangeError(`readBufferBytes must be a whole number above 0, got ${readBufferBytes}.`);
  }
  signal?.throwIfAborted();
  const dial = options.connect ?? (await socketsConnect(attempt));
  signal?.throwIfAborted();
  let socket: WorkerSocket | undefined;
  const late = deferred<never>();
  const cancelTimer = systemClock.after(connectTimeoutMs, () =>
    late.reject(connectTimeoutError(attempt, connectTimeoutMs)),
  );
  try {
    const secureTransport = secure ? "on" : "off";
    socket = dial({ hostname, port }, { secureTransport, allowHalfOpen: true });
    // It fails together with `opened`, and that is looked at.
    socket.closed.catch(() => {});
    await abortable(Promise.race([socket.opened, late.promise]), signal);
    return new LinkConnection(new WorkerSocketLink(socket, remote, readBufferBytes));
  } catch (error) {
    socket?.close().catch(() => {});
    throw signal?.aborted ? signal.reason : tcpError(attempt, error);
  } finally {
    cancelTimer();
  }
}

async function socketsConnect(attempt: string): Promise<WorkerConnect> {
  try {
    return ((await import(MODULE)) as { connect: WorkerConnect }).connect;
  } catch (cause) {
    throw new TransportError(
      `${attempt} failed: this runtime has no ${MODULE}; outside of workers use headrace/tcp, or give a connect function (connect).`,
      { cause, retryable: false },
    );
  }
}
