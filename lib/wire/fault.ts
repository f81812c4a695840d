// This module runs in every runtime.
import {
  HeadraceError,
  IntegrityError,
  LimitError,
  NotFoundError,
  RemoteError,
  UnauthorisedError,
} from "../errors.ts";
import type { Fault } from "./messages.ts";

const MAX_MESSAGE_CHARS = 1000;

/** Codes whose messages name files of this machine, which are nobody else's business. */
const PRIVATE_CODES = new Set<string>(["storage", "format", "config"]);

/** What is told to the other end about a failure here: never a stack, a path or a cause. */
export function faultOf(error: unknown): Fault {
  if (error instanceof HeadraceError && PRIVATE_CODES.has(error.code)) {
    const { code, retryable } = error;
    return { code, retryable, message: "its own files fail it; its log says which and why" };
  }
  if (error instanceof HeadraceError) {
    // Cut text may end in half a character, which is no text to the other end.
    const message = error.message.slice(0, MAX_MESSAGE_CHARS).toWellFormed();
    const code = error instanceof RemoteError ? error.remoteCode : error.code;
    return { code, retryable: error.retryable, message };
  }
  const aborted = error instanceof Error && /^(Abort|Timeout)Error$/.test(error.name);
  return aborted
    ? { code: "cancelled", retryable: false, message: "cancelled" }
    : { code: "internal", retryable: false, message: "the peer failed inside" };
}

/** The error that a failure at the other end becomes here. */
export function errorOf(fault: Fault, address?: string): HeadraceError {
  // What a peer says is shown to people: control characters must not reach a terminal.
  const message = `The peer reported: ${fault.message.replace(/\p{Cc}/gu, "?")}`;
  const details = { retryable: fault.retryable, ...(address !== undefined && { address }) };
  switch (fault.code) {
    case "not_found":
      return new NotFoundError(message, details);
    case "unauthorised":
      return new UnauthorisedError(message, details);
    case "limit":
      return new LimitError(message, details);
    case "integrity":
      return new IntegrityError("source", message, details);
    default:
      return new RemoteError(fault.code, message, details);
  }
}
