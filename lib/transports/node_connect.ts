import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Connection } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { LinkConnection } from "./link_connection.ts";
import { NodeReads, NodeSocketLink, type NodeStrategy } from "./node_socket.ts";
import { connectTimeoutError, tcpError } from "./tcp_errors.ts";
import { parsePin, requireTls, type TcpConnectOptions } from "./tcp_options.ts";
import { formatTcpUrl, parseTcpUrl, type TcpAddress } from "./tcp_url.ts";

/** Dials by `node:net` or `node:tls`; what the adapters of the runtimes share. */
export function connectNode(
  url: string | URL,
  options: TcpConnectOptions,
  strategy: NodeStrategy,
): Promise<Connection> {
  const address = parseTcpUrl(url);
  const remote = formatTcpUrl(address);
  const attempt = `Connecting to ${remote}`;
  const pin = options.pinSha256 === undefined ? undefined : parsePin(options.pinSha256);
  requireTls(address, options);
  const { signal, connectTimeoutMs = DEFAULT_LIMITS.connectTimeoutMs } = options;
  signal?.throwIfAborted();

  return new Promise((resolve, reject) => {
    const reads =
      strategy.onread && !address.secure
        ? new NodeReads(options.readBufferBytes ?? strategy.readBufferBytes)
        : undefined;
    const socket = dial(address, options, reads, pin !== undefined);
    const release = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.off("close", onClose);
    };
    const giveUp = (reason: unknown) => {
      release();
      // A destroyed socket may still report: somebody has to listen.
      socket.on("error", () => {});
      socket.destroy();
      reject(reason);
    };
    const onAbort = () => giveUp(signal?.reason);
    const onError = (error: Error) => giveUp(tcpError(attempt, error));
    const onClose = () => giveUp(new TransportError(`${attempt} failed: the peer hung up.`));
    const timer = setTimeout(
      () => giveUp(connectTimeoutError(attempt, connectTimeoutMs)),
      connectTimeoutMs,
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once("close", onClose);
    socket.once(address.secure ? "secureConnect" : "connect", () => {
      const found = pin === undefined ? undefined : pinOf(socket as TLSSocket);
      if (found !== pin) {
        giveUp(
          new TransportError(
            `${attempt} failed: the peer's certificate has the SHA-256 ${found}, wanted ${pin}.`,
            { retryable: false },
          ),
        );
        return;
      }
      release();
      socket.off("error", onError);
      resolve(new LinkConnection(new NodeSocketLink(socket, remote, strategy.writev, reads)));
    });
  });
}

function dial(
  { secure, host, port }: TcpAddress,
  options: TcpConnectOptions,
  reads: NodeReads | undefined,
  pinned: boolean,
): Socket {
  const shared = {
    host,
    port,
    allowHalfOpen: true,
    noDelay: options.noDelay ?? true,
    keepAlive: options.keepAliveMs !== undefined,
    keepAliveInitialDelay: options.keepAliveMs ?? 0,
  };
  if (!secure) {
    const socket = connectTcp(reads === undefined ? shared : { ...shared, onread: reads.onread });
    // Connected but paused: nothing is read before somebody asks.
    socket.pause();
    return socket;
  }
  const name = options.serverName ?? (isIP(host) === 0 ? host : undefined);
  return connectTls({
    ...shared,
    // A pin is checked after the handshake and stands in for the chain and the name.
    rejectUnauthorized: !pinned,
    ...(name === undefined ? {} : { servername: name }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
}

function pinOf(socket: TLSSocket): string | undefined {
  return socket.getPeerCertificate().fingerprint256?.replaceAll(":", "").toLowerCase();
}
