// This module runs in every runtime.

/** What is to be seen of a peer's connection. */
export interface ConnectionView {
  /** Where the other end is: `tcp://127.0.0.1:40312`. */
  readonly remote: string;
  /** How it is reached: `tcp`, `tls`, `ws`, `wss`, `webtransport`, `memory`, ... */
  readonly transport: string;
  /** What the other end calls itself; nobody has checked that. */
  readonly node: string;
  /** `worker`, `coordinator`, `mixed`, or whatever the other end says it is. */
  readonly role: string;
  /** The other end's instance in hexadecimal, the same over all its connections. */
  readonly instance: string;
  /** Whether this end has dialled. */
  readonly hasDialled: boolean;
  /** The smallest round trip of late in milliseconds; `undefined` before the first answer. */
  readonly rttMs: number | undefined;
  /** Bytes written to this connection, everything counted. */
  readonly sentBytes: number;
  /** Bytes read from this connection, everything counted. */
  readonly receivedBytes: number;
}

/** The transport that the URL of a connection's other end tells of. */
export function transportOf(remote: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(remote)?.[1]?.toLowerCase();
  return scheme === "https" ? "webtransport" : (scheme ?? "other");
}
