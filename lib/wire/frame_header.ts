// This module runs in every runtime.
import { ProtocolError, TransportError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { viewOf } from "./u64.ts";
import { xxh32 } from "./xxh32.ts";

/** The frame types of SPEC.md's frame table. */
export const FRAME = {
  hello: 0x01,
  goodbye: 0x02,
  ping: 0x03,
  pong: 0x04,
  error: 0x05,
  request: 0x10,
  offer: 0x11,
  have: 0x12,
  accept: 0x13,
  chunk: 0x14,
  digests: 0x15,
  refetch: 0x16,
  credit: 0x17,
  ack: 0x18,
  complete: 0x19,
  receipt: 0x1a,
  cancel: 0x1b,
  phase: 0x1c,
  reprioritise: 0x1d,
  pause: 0x1e,
  tensor: 0x1f,
  list: 0x20,
  listing: 0x21,
  subscribe: 0x22,
  notify: 0x23,
  unsubscribe: 0x24,
  extent: 0x25,
  proof: 0x26,
  requests: 0x27,
  receipts: 0x28,
  lane: 0x30,
} as const;

/** The number of a frame type. */
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** The last page of a have-bitmap, of digests or of a listing. */
export const FLAG_LAST = 0x01;
/** On HAVE: the digests of these leaves are asked for. On DIGESTS: they are the answer. */
export const FLAG_QUERY = 0x02;
/** On CHUNK: its bytes were asked for again, and have had their credit. */
export const FLAG_AGAIN = 0x04;

/** Types from here on may be skipped by a peer that does not know them. */
export const FIRST_SKIPPABLE_TYPE = 0x80;

/** The header that begins every frame. */
export const FRAME_HEADER_BYTES = 16;
/** The head that begins the payload of a CHUNK frame. */
export const CHUNK_HEAD_BYTES = 32;
/** The most data that a TENSOR frame carries. */
export const MAX_TENSOR_DATA_BYTES: number = 64 * 1024;
/** The most that a TENSOR frame says before its data. */
export const MAX_TENSOR_HEAD_BYTES = 4096;

const CHECK_SEED = 0x68647263;
const CHECKED_BYTES = 12;

/** The sixteen bytes before every frame's payload. */
export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  /** The transfer or listing that the frame is about; 0 is the connection itself. */
  readonly stream: number;
  readonly payloadBytes: number;
}

const NAMES = new Map<number, string>(Object.entries(FRAME).map(([name, type]) => [type, name]));
const CONTROL = new Set<number>([
  FRAME.hello,
  FRAME.goodbye,
  FRAME.error,
  FRAME.request,
  FRAME.offer,
  FRAME.accept,
  FRAME.complete,
  FRAME.receipt,
  FRAME.cancel,
  FRAME.phase,
  FRAME.reprioritise,
  FRAME.pause,
  FRAME.list,
  FRAME.subscribe,
  FRAME.notify,
  FRAME.unsubscribe,
  FRAME.extent,
  FRAME.lane,
]);

/** Types that are about the connection and travel on stream 0. */
const OF_CONNECTION = new Set<number>([
  FRAME.hello,
  FRAME.goodbye,
  FRAME.ping,
  FRAME.pong,
  FRAME.receipts,
  FRAME.lane,
]);
/** Types that are about the connection or about a stream. */
const OF_ANY = new Set<number>([FRAME.error, FRAME.credit]);
/** The flags that a type may carry; none where it is not listed. */
const FLAGS = new Map<number, number>([
  [FRAME.have, FLAG_LAST | FLAG_QUERY],
  [FRAME.digests, FLAG_LAST | FLAG_QUERY],
  [FRAME.listing, FLAG_LAST],
  [FRAME.chunk, FLAG_AGAIN],
]);

/** Whether the type's payload is a CBOR map. */
export const isControlType = (type: number): boolean => CONTROL.has(type);

/** The frame type's name for a message: `chunk`, or `type 0x7f`. */
export function frameName(type: number): string {
  return NAMES.get(type) ?? `type 0x${type.toString(16).padStart(2, "0")}`;
}

/** Writes a header and its check into the first sixteen bytes of `into`. */
export function writeFrameHeader(into: Uint8Array, header: FrameHeader): void {
  const view = viewOf(into);
  view.setUint8(0, header.type);
  view.setUint8(1, header.flags);
  view.setUint16(2, 0, true);
  view.setUint32(4, header.stream, true);
  view.setUint32(8, header.payloadBytes, true);
  view.setUint32(CHECKED_BYTES, xxh32(into.subarray(0, CHECKED_BYTES), CHECK_SEED), true);
}

/** The most that a payload of this type may take. */
export function maxPayloadBytes(type: number, limits: Limits = DEFAULT_LIMITS): number {
  if (type === FRAME.chunk) return CHUNK_HEAD_BYTES + limits.maxChunkBytes;
  if (type === FRAME.tensor) return MAX_TENSOR_HEAD_BYTES + MAX_TENSOR_DATA_BYTES;
  return isControlType(type) ? limits.maxControlBytes : limits.maxPageBytes;
}

/**
 * Reads a header, believing its length only after its check.
 *
 * @throws {TransportError} when the check fails: the link damaged it.
 * @throws {ProtocolError} for a type that is unknown and may not be skipped, a payload over the
 *   type's cap, and, of a type that is known, flags or a stream that it cannot have.
 */
export function readFrameHeader(bytes: Uint8Array, limits: Limits = DEFAULT_LIMITS): FrameHeader {
  const view = viewOf(bytes);
  const check = xxh32(bytes.subarray(0, CHECKED_BYTES), CHECK_SEED);
  if (view.getUint32(CHECKED_BYTES, true) !== check) {
    throw new TransportError("Cannot read a frame: the check of its header does not match");
  }
  const header: FrameHeader = {
    type: view.getUint8(0),
    flags: view.getUint8(1),
    stream: view.getUint32(4, true),
    payloadBytes: view.getUint32(8, true),
  };
  const { type, flags, stream } = header;
  const name = frameName(type);
  const isKnown = NAMES.has(type);
  if (!isKnown && type < FIRST_SKIPPABLE_TYPE) {
    throw new ProtocolError(`The peer sent a frame of unknown ${name}`);
  }
  if (isKnown && (view.getUint16(2, true) !== 0 || (flags & ~(FLAGS.get(type) ?? 0)) !== 0)) {
    throw new ProtocolError(`The peer set reserved bits in the header of a ${name} frame`);
  }
  if (isKnown && !OF_ANY.has(type) && (stream === 0) !== OF_CONNECTION.has(type)) {
    throw new ProtocolError(`The peer sent a ${name} frame on stream ${stream}`);
  }
  const cap = maxPayloadBytes(header.type, limits);
  if (header.payloadBytes > cap) {
    throw new ProtocolError(
      `The peer announced a ${name} frame of ${header.payloadBytes} bytes; at most ${cap} are taken`,
    );
  }
  return header;
}
