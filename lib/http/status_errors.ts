// This module runs in every runtime.
import {
  type HeadraceError,
  IntegrityError,
  NotFoundError,
  ProtocolError,
  RemoteError,
  TransportError,
  UnauthorisedError,
} from "../errors.ts";

/** The server wants to be left alone for a while. */
export class BusyError extends TransportError {
  override readonly name: string = "BusyError";
  /** How long; 0 where it does not say. */
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A server may not make a client wait for longer than this. */
const MAX_RETRY_AFTER_MS = 60_000;

/**
 * How long `Retry-After` asks to wait, 60 s at most: so many seconds, or until a moment, which is
 * taken by the server's own clock.
 */
export function retryAfterMs(headers: Headers): number {
  const text = headers.get("retry-after")?.trim() ?? "";
  const ms = /^\d+$/.test(text)
    ? Number(text) * 1000
    : Date.parse(text) - Date.parse(headers.get("date") ?? "");
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) : 0;
}

/** What the body of an answer that is a failure says of itself. */
export interface SaidFailure {
  /** In one line, as far as it is text. */
  readonly message: string;
  /** The failure's code, where a headrace server says that asking again is of no use. */
  readonly finalCode?: string;
}

/** What an answer that is neither 200 nor 206 means. */
export function errorOfStatus(
  url: URL,
  { status, headers }: Response,
  { message: said, finalCode }: SaidFailure,
): HeadraceError {
  const message = `Asked for ${shown(url)}, was answered ${status}${said && `: ${said}`}`;
  if (status === 401 || status === 403) return new UnauthorisedError(message);
  if (status === 404 || status === 410) return new NotFoundError(message);
  if (status === 412 || status === 416) return new IntegrityError("source", message);
  if (status >= 500 && finalCode) return new RemoteError(finalCode, message);
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    return new BusyError(message, retryAfterMs(headers));
  }
  return new ProtocolError(message);
}

/** A URL as it may be shown: its query may hold a signature, its user part a password. */
export function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}
