// This module runs in every runtime.
import type { CertificateHash } from "./webtransport_like.ts";

/** Where WebTransport is listened for. */
export interface WebTransportAddress {
  readonly host: string;
  readonly port: number;
  /** What to dial: the URL without its fragment. */
  readonly href: string;
  /** The certificate that is expected; where it is left out, one that the runtime trusts. */
  readonly certificateHash?: CertificateHash;
}

const HTTPS_PORT = 443;

/** @throws {TypeError} for anything but `https://HOST[:PORT][/PATH][#sha256=HEX]`. */
export function parseWebTransportUrl(url: string | URL): WebTransportAddress {
  const whole = new URL(url);
  const { protocol, hostname, port, username, password, hash } = whole;
  const hex = /^#sha256=([0-9a-f]{64})$/i.exec(hash)?.[1];
  const isOdd = hash !== "" && hex === undefined;
  if (protocol !== "https:" || !hostname || username || password || isOdd) {
    throw new TypeError(
      `A WebTransport URL is https://HOST:PORT, with #sha256= and 64 hexadecimal digits to pin a certificate, found "${url}".`,
    );
  }
  whole.hash = "";
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? HTTPS_PORT : Number(port),
    href: whole.href,
    ...(hex !== undefined && {
      certificateHash: { algorithm: "sha-256", value: bytesOfHex(hex) },
    }),
  };
}

/** The other way. */
export function formatWebTransportUrl(host: string, port: number, hash?: string): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `https://${name}:${port}${hash === undefined ? "" : `#sha256=${hash}`}`;
}

function bytesOfHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: hex.length / 2 }, (_, n) =>
    Number.parseInt(hex.slice(2 * n, 2 * n + 2), 16),
  );
}
