import { HeadraceError } from "../errors.ts";

/** What `--json` says of a failure, and what a person reads of it. */
export interface ErrorDescription {
  readonly code: string;
  readonly retryable: boolean;
  readonly message: string;
}

/** One line for any error; control characters in what others wrote do not reach the terminal. */
export function describeError(error: unknown): ErrorDescription {
  const message = (error instanceof Error ? error.message : String(error)).replace(
    /\p{Cc}+/gu,
    " ",
  );
  if (error instanceof HeadraceError) {
    return { code: error.code, retryable: error.retryable, message };
  }
  if (error instanceof Interrupted) return { code: "interrupted", retryable: true, message };
  if (error instanceof UsageError) return { code: "usage", retryable: false, message };
  const isAbort = error instanceof Error && error.name === "AbortError";
  return { code: isAbort ? "cancelled" : "internal", retryable: false, message };
}

/** The command line itself is wrong: exit 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** The person pressed Ctrl-C: exit 130. */
export class Interrupted extends Error {
  override readonly name: string = "Interrupted";
  constructor(message: string = "interrupted") {
    super(message);
  }
}

/** The exit code that goes with an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return 130;
  if (error instanceof UsageError) return 2;
  return error instanceof HeadraceError && error.code === "config" ? 2 : 1;
}
