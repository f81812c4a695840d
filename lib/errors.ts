// This module runs in every runtime.

/** The closed set of codes a {@linkcode HeadraceError} can carry. */
export type ErrorCode =
  | "protocol"
  | "transport"
  | "integrity"
  | "not_found"
  | "unauthorised"
  | "limit"
  | "config"
  | "format"
  | "storage"
  | "source_not_rewindable"
  | "retry_exhausted"
  | "remote";

/** What every {@linkcode HeadraceError} may say beside its message. */
export interface ErrorDetails {
  /** Whether the same attempt over a new connection can succeed. */
  retryable?: boolean;
  /** The address the failed work was about, formatted. */
  address?: string;
  /** The offset in the tensor, the file or the stream at which it failed. */
  byteOffset?: number;
  /** What was thrown underneath. */
  cause?: unknown;
}

/**
 * The root of the family: everything headrace throws that is not misuse
 * (`TypeError`, `RangeError`) or the caller's own `signal.reason`.
 *
 * @example
 * ```ts
 * import { HeadraceError, TransportError } from "headrace";
 *
 * const error: unknown = new TransportError("the link was cut", { byteOffset: 4096 });
 * if (error instanceof HeadraceError && error.retryable) {
 *   console.log(error.code, error.byteOffset);
 * }
 * ```
 */
export class HeadraceError extends Error {
  override readonly name: string = "HeadraceError";
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly address: string | undefined;
  readonly byteOffset: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryable = details.retryable ?? false;
    this.address = details.address;
    this.byteOffset = details.byteOffset;
  }
}

/** The peer broke the specification. Not retryable unless a damaged link can explain it. */
export class ProtocolError extends HeadraceError {
  override readonly name: string = "ProtocolError";
  constructor(message: string, details?: ErrorDetails) {
    super("protocol", message, details);
  }
}

/** The link failed: refused, cut, reset, silent. Retryable over a new connection. */
export class TransportError extends HeadraceError {
  override readonly name: string = "TransportError";
  constructor(message: string, details?: ErrorDetails) {
    super("transport", message, { retryable: true, ...details });
  }
}

/**
 * Bytes are not what they were said to be. `where` tells a fault on the way
 * (`"transit"`: fetch again) from a tensor that changed where it lives (`"source"`: begin again).
 */
export class IntegrityError extends HeadraceError {
  override readonly name: string = "IntegrityError";
  readonly where: "transit" | "source";
  constructor(where: "transit" | "source", message: string, details?: ErrorDetails) {
    super("integrity", message, { retryable: true, ...details });
    this.where = where;
  }
}

/** Nothing lives at the address. */
export class NotFoundError extends HeadraceError {
  override readonly name: string = "NotFoundError";
  constructor(message: string, details?: ErrorDetails) {
    super("not_found", message, details);
  }
}

/** The token is missing or wrong, or the peer does not allow what was asked. */
export class UnauthorisedError extends HeadraceError {
  override readonly name: string = "UnauthorisedError";
  constructor(message: string, details?: ErrorDetails) {
    super("unauthorised", message, details);
  }
}

/** A documented limit would be exceeded; nothing was allocated for it. */
export class LimitError extends HeadraceError {
  override readonly name: string = "LimitError";
  constructor(message: string, details?: ErrorDetails) {
    super("limit", message, details);
  }
}

/** A setting is unknown or has a value that is not accepted. */
export class ConfigError extends HeadraceError {
  override readonly name: string = "ConfigError";
  constructor(message: string, details?: ErrorDetails) {
    super("config", message, details);
  }
}

/** A file does not follow the rules of its format. */
export class FormatError extends HeadraceError {
  override readonly name: string = "FormatError";
  constructor(message: string, details?: ErrorDetails) {
    super("format", message, details);
  }
}

/** A local file, folder or disk refused: full, gone, not permitted, locked, in the way. */
export class StorageError extends HeadraceError {
  override readonly name: string = "StorageError";
  constructor(message: string, details?: ErrorDetails) {
    super("storage", message, details);
  }
}

/** A leaf is wanted of a source that has let go of it and cannot read it again. */
export class SourceNotRewindableError extends HeadraceError {
  override readonly name: string = "SourceNotRewindableError";
  constructor(message: string, details?: ErrorDetails) {
    super("source_not_rewindable", message, details);
  }
}

/** Every attempt that the retry policy allows has failed; `cause` is the last failure. */
export class RetryExhaustedError extends HeadraceError {
  override readonly name: string = "RetryExhaustedError";
  /** How many attempts failed in a row. */
  readonly attempts: number;
  constructor(message: string, attempts: number, details?: ErrorDetails) {
    super("retry_exhausted", message, details);
    this.attempts = attempts;
  }
}

/** The other end reported a failure of its own; `remoteCode` is its code. */
export class RemoteError extends HeadraceError {
  override readonly name: string = "RemoteError";
  readonly remoteCode: string;
  constructor(remoteCode: string, message: string, details?: ErrorDetails) {
    super("remote", message, details);
    this.remoteCode = remoteCode;
  }
}
