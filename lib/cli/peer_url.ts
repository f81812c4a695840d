import { type AddressPattern, parsePattern } from "../tensor/address.ts";
import { UsageError } from "./describe_error.ts";

/** A peer's address with the tensors that are meant, as `pull` and `ls` take them. */
export interface PeerUrl {
  /** Where to dial: `tcp://127.0.0.1:12094`. */
  readonly url: string;
  readonly pattern: AddressPattern;
}

/**
 * Reads `tcp://HOST:PORT[/MODEL[/PARTITION[/TENSOR]]]`, or the same with `tls`, `ws`, `wss` or
 * `https`; `#sha256=` and a certificate's hash may follow.
 *
 * @throws {UsageError} for anything else.
 */
export function parsePeerUrl(text: string): PeerUrl {
  // The path is cut off by hand: `URL` would resolve `..` and so change names.
  const match = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]+)(?:\/([^?#]*))?(#sha256=[0-9a-f]{64})?$/i.exec(
    text,
  );
  if (!match) {
    throw new UsageError(
      `"${text}" is not the URL of a peer; write tcp://HOST:PORT or tcp://HOST:PORT/MODEL/PARTITION/TENSOR`,
    );
  }
  const [, place = "", path = "", pin = ""] = match;
  const url = `${place}${pin}`;
  if (!/^(tcp|tls|ws|wss|https):/i.test(place)) {
    throw new UsageError(
      `Cannot dial ${place}: tcp://, tls://, ws://, wss:// and https:// are known; pull and ls take http:// too`,
    );
  }
  try {
    return { url, pattern: parsePattern(path.replace(/\/$/, "")) };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
