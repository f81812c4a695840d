// This module runs in every runtime.
import { LimitError, ProtocolError, TransportError, UnauthorisedError } from "../errors.ts";

/** RFC 6455, section 7.4.1: what was wrong with what this end sent. */
const PROTOCOL_CODES: readonly number[] = [1002, 1003, 1007, 1010];
const POLICY_CODE = 1008;
const TOO_BIG_CODE = 1009;

/**
 * What it means that a WebSocket closed with this code before both ends had ended. What another
 * connection would not change is not to be tried again; all else is the loss of a link.
 */
export function closeError(
  remote: string,
  code: number,
  reason: string,
): TransportError | ProtocolError | UnauthorisedError | LimitError {
  const why = `The connection to ${remote} was closed by the other end, code ${code}${reason ? `: ${reason}` : ""}`;
  if (PROTOCOL_CODES.includes(code)) return new ProtocolError(why);
  if (code === POLICY_CODE) return new UnauthorisedError(why);
  if (code === TOO_BIG_CODE) return new LimitError(why);
  return new TransportError(why);
}
