// This module runs in every runtime.

/** Where WebSockets are listened for. */
export interface WebSocketAddress {
  /** As it was written: with `http` and `https` plain requests are meant as well. */
  readonly scheme: "ws" | "wss" | "http" | "https";
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
}

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/** @throws {TypeError} for anything but `ws://HOST[:PORT]`, or the same with `wss`, `http` or `https`. */
export function parseWebSocketUrl(url: string | URL): WebSocketAddress {
  const { protocol, hostname, port, username, password } = new URL(url);
  const scheme = protocol.slice(0, -1) as WebSocketAddress["scheme"];
  if (!["ws", "wss", "http", "https"].includes(scheme) || !hostname || username || password) {
    throw new TypeError(`A WebSocket's URL is ws://HOST:PORT or wss://HOST:PORT, found "${url}".`);
  }
  const secure = scheme.endsWith("s") && scheme !== "ws";
  const host = hostname.replace(/^\[|\]$/g, "");
  // Port 0, which picks one, survives parsing; a scheme's own port does not.
  return {
    scheme,
    secure,
    host,
    port: port === "" ? (secure ? HTTPS_PORT : HTTP_PORT) : Number(port),
  };
}

/** The other way. */
export function formatWebSocketUrl({ scheme, host, port }: WebSocketAddress): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${name}:${port}`;
}
