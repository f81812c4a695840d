// This module runs in every runtime.

/** Where a WebSocket is listened for. */
export interface WebSocketAddress {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
}

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/** @throws {TypeError} for anything but `ws://HOST[:PORT]` or `wss://HOST[:PORT]`. */
export function parseWebSocketUrl(url: string | URL): WebSocketAddress {
  const { protocol, hostname, port, username, password } = new URL(url);
  const secure = protocol === "wss:";
  if ((!secure && protocol !== "ws:") || !hostname || username || password) {
    throw new TypeError(`A WebSocket's URL is ws://HOST:PORT or wss://HOST:PORT, found "${url}".`);
  }
  const host = hostname.replace(/^\[|\]$/g, "");
  // Port 0, which picks one, survives parsing; a scheme's own port does not.
  return { secure, host, port: port === "" ? (secure ? HTTPS_PORT : HTTP_PORT) : Number(port) };
}

/** The other way. */
export function formatWebSocketUrl({ secure, host, port }: WebSocketAddress): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${secure ? "wss" : "ws"}://${name}:${port}`;
}
