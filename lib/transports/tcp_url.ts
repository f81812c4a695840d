// This module runs in every runtime.

/** The port that headrace listens on and dials where a URL names none. */
export const DEFAULT_PORT = 12094;

/** Where a TCP or TLS peer is: what a `tcp://` or `tls://` URL says. */
export interface TcpAddress {
  /** Whether TLS is spoken. */
  readonly secure: boolean;
  /** A host name or an IP address, without brackets. */
  readonly host: string;
  /** 0 lets a listener pick a port. */
  readonly port: number;
}

/**
 * Reads `tcp://HOST[:PORT]` or `tls://HOST[:PORT]`. IPv6 addresses stand in brackets; the default
 * port is 12094.
 *
 * @throws {TypeError} when it is not such a URL, or holds a user, a path, a query or a fragment.
 */
export function parseTcpUrl(url: string | URL): TcpAddress {
  const refuse = (why: string): never => {
    // The text may hold a password: only the part behind it is repeated.
    const shown = String(url).replace(/\/\/[^/]*@/, "//...@");
    throw new TypeError(`Cannot use "${shown}" as a TCP address: ${why}.`);
  };
  const text = String(url);
  if (!URL.canParse(text)) return refuse("tcp://HOST:PORT or tls://HOST:PORT is expected");
  const parsed = new URL(text);
  if (parsed.protocol !== "tcp:" && parsed.protocol !== "tls:") {
    return refuse(`the scheme is ${parsed.protocol}//, tcp:// or tls:// is expected`);
  }
  if (parsed.username !== "" || parsed.password !== "") return refuse("it holds credentials");
  if (parsed.pathname !== "" && parsed.pathname !== "/") return refuse("it holds a path");
  if (parsed.search !== "" || parsed.hash !== "") return refuse("it holds a query or a fragment");
  if (parsed.hostname === "") return refuse("it names no host");
  return {
    secure: parsed.protocol === "tls:",
    host: decodeURIComponent(parsed.hostname.replace(/^\[(.*)\]$/, "$1")),
    port: parsed.port === "" ? DEFAULT_PORT : Number(parsed.port),
  };
}

/** The URL of an address; the mirror of {@linkcode parseTcpUrl}. */
export function formatTcpUrl({ secure, host, port }: TcpAddress): string {
  return `${secure ? "tls" : "tcp"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
