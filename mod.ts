/**
 * headrace moves tensors between peers over any byte stream.
 *
 * @module
 */
export { type Clock, sleep, systemClock } from "./lib/clock.ts";
export {
  ConfigError,
  type ErrorCode,
  type ErrorDetails,
  FormatError,
  HeadraceError,
  IntegrityError,
  LimitError,
  NotFoundError,
  ProtocolError,
  RemoteError,
  RetryExhaustedError,
  StorageError,
  TransportError,
  UnauthorisedError,
} from "./lib/errors.ts";
