// This module runs in every runtime.
import { TransportError } from "../errors.ts";

/** What the runtimes' own errors carry; Deno tells some by name only. */
interface SystemError {
  readonly code?: unknown;
  readonly name?: unknown;
  readonly message?: unknown;
}

const NAME_LOOKUP = /^(DNS_)?(ENOTFOUND|EAI_AGAIN|EAI_NONAME|EAI_NODATA|ENODATA|ESERVFAIL)$/;
const TRUST = /SELF_SIGNED|UNABLE_TO|CERT_|_CERT|ALTNAME|UnknownIssuer|invalid peer certificate/;

const EXPLANATIONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the peer reset the connection",
  EPIPE: "the peer has closed the connection",
  ETIMEDOUT: "the peer did not answer in time",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the network",
  EADDRINUSE: "the port is in use; choose another or stop what holds it",
  EADDRNOTAVAIL: "this machine does not have that address",
  EACCES: "listening on that port is not permitted",
  EMFILE: "too many files are open in this process; raise its limit",
  ENFILE: "too many files are open on this machine",
};

/** Those that the same attempt cannot overcome. */
const FINAL = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "EACCES"]);

/** Deno's error classes, by the code that Node gives the same fault. */
const CODES_OF_NAMES: Readonly<Record<string, string>> = {
  ConnectionRefused: "ECONNREFUSED",
  ConnectionReset: "ECONNRESET",
  ConnectionAborted: "ECONNRESET",
  BrokenPipe: "EPIPE",
  TimedOut: "ETIMEDOUT",
  AddrInUse: "EADDRINUSE",
  AddrNotAvailable: "EADDRNOTAVAIL",
  PermissionDenied: "EACCES",
};

/**
 * Says in one line what was attempted and why it failed; `cause` keeps the runtime's own error.
 * @param attempt what was tried, such as `Connecting to tcp://10.0.0.1:12094`
 */
export function tcpError(attempt: string, cause: unknown): TransportError {
  if (cause instanceof TransportError) return cause;
  const { code, name, message } = (cause ?? {}) as SystemError;
  const known = String(code ?? CODES_OF_NAMES[String(name)] ?? "");
  const text = String(message ?? cause);
  if (NAME_LOOKUP.test(known) || /failed to lookup address|getaddrinfo/.test(text)) {
    const named = known === "" ? "" : ` (${known})`;
    return new TransportError(`${attempt} failed: the host name does not resolve${named}.`, {
      cause,
    });
  }
  const explanation = EXPLANATIONS[known];
  if (explanation !== undefined) {
    return new TransportError(`${attempt} failed: ${explanation} (${known}).`, {
      cause,
      retryable: !FINAL.has(known),
    });
  }
  if (TRUST.test(known) || TRUST.test(text)) {
    const found = known === "" ? oneLine(text) : known;
    return new TransportError(
      `${attempt} failed: the peer's certificate is not trusted (${found}). Give the authority ` +
        "that signed it (ca), or its SHA-256 (pinSha256).",
      { cause, retryable: false },
    );
  }
  return new TransportError(`${attempt} failed: ${oneLine(text)}.`, { cause });
}

/** The dial took longer than it may. */
export function connectTimeoutError(attempt: string, timeoutMs: number): TransportError {
  return new TransportError(`${attempt} failed: no connection within ${timeoutMs} ms.`);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim().replace(/\.$/, "");
}
