// This module runs in every runtime.
import { ProtocolError, TransportError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { type CborValue, decodeCbor, encodeCbor } from "./cbor.ts";
import {
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FrameType,
  frameName,
  writeFrameHeader,
} from "./frame_header.ts";
import type { Messages } from "./messages.ts";
import { Mismatch, type Shape } from "./shape.ts";
import { viewOf } from "./u64.ts";
import { xxh32 } from "./xxh32.ts";

const CHECK_BYTES = 4;

/** A whole frame around a payload that ends in its own XXH32. */
export function encodeChecked(
  type: FrameType,
  stream: number,
  body: Uint8Array,
  flags = 0,
): Uint8Array {
  const payloadBytes = body.byteLength + CHECK_BYTES;
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payloadBytes);
  writeFrameHeader(frame, { type, flags, stream, payloadBytes });
  frame.set(body, FRAME_HEADER_BYTES);
  viewOf(frame).setUint32(frame.byteLength - CHECK_BYTES, xxh32(body), true);
  return frame;
}

/**
 * The payload without its check.
 *
 * @throws {TransportError} when the check does not match.
 * @throws {ProtocolError} when there is none.
 */
export function decodeChecked(header: FrameHeader, payload: Uint8Array): Uint8Array {
  if (payload.byteLength < CHECK_BYTES) {
    throw new ProtocolError(`The peer sent a ${frameName(header.type)} frame without its check`);
  }
  const body = payload.subarray(0, payload.byteLength - CHECK_BYTES);
  if (viewOf(payload).getUint32(body.byteLength, true) !== xxh32(body)) {
    throw new TransportError(
      `Cannot read a ${frameName(header.type)} frame: the check of its payload does not match`,
    );
  }
  return body;
}

/**
 * A whole control frame.
 *
 * @throws {RangeError} when the message takes more than the peer will accept.
 */
export function encodeMessage<K extends keyof Messages>(
  kind: K,
  stream: number,
  message: Messages[K],
  limits: Limits = DEFAULT_LIMITS,
): Uint8Array {
  const body = encodeCbor(message as unknown as CborValue);
  if (body.byteLength + CHECK_BYTES > limits.maxControlBytes) {
    throw new RangeError(
      `A ${kind} message may take ${limits.maxControlBytes} bytes, found ${body.byteLength}`,
    );
  }
  return encodeChecked(FRAME[kind], stream, body);
}

/**
 * Reads and validates a control frame's payload.
 *
 * @param shape What the message must be: the frame's type decides which, `offerShape` for OFFER.
 * @throws {TransportError} when the payload's check does not match.
 * @throws {ProtocolError} when it is not the message that its type promises.
 */
export function decodeMessage<T>(shape: Shape<T>, header: FrameHeader, payload: Uint8Array): T {
  const body = decodeChecked(header, payload);
  const refused = (why: string, cause?: unknown) =>
    new ProtocolError(`The peer sent a ${frameName(header.type)} frame ${why}`, { cause });
  let value: unknown;
  try {
    value = decodeCbor(body);
  } catch (cause) {
    throw refused("that is not plain CBOR", cause);
  }
  try {
    return shape(value, "");
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    throw refused(`whose ${error.path || "payload"} is wrong: ${error.message}`);
  }
}
