// Frames as SPEC.md has them, written from that page alone and without a check of what they say.
import { xxh32 } from "../../../../lib/wire/xxh32.ts";
import { cbor, type Fields, join } from "./cbor.ts";

/** The types of the frame table. */
export const TYPE = {
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

export const LAST = 0x01;
export const QUERY = 0x02;
export const AGAIN = 0x04;

/** A number's bytes, the lowest first. */
export function le(bytes: number, value: number | bigint): Uint8Array {
  const rest = BigInt(value);
  return Uint8Array.from({ length: bytes }, (_, n) => Number((rest >> BigInt(8 * n)) & 0xffn));
}

/** Preamble: magic and the versions that are spoken. */
export const preamble = (lowest = 1, highest = 1): Uint8Array =>
  join(Uint8Array.of(0x68, 0x64, 0x72, 0x63), le(2, lowest), le(2, highest));

/** Header and payload; the header may lie about either. */
export function frame(
  type: number,
  stream: number,
  payload: Uint8Array = new Uint8Array(),
  flags = 0,
  lies: { readonly payloadBytes?: number; readonly reserved?: number } = {},
): Uint8Array {
  const { payloadBytes = payload.byteLength, reserved = 0 } = lies;
  const head = join(
    Uint8Array.of(type, flags),
    le(2, reserved),
    le(4, stream),
    le(4, payloadBytes),
  );
  return join(head, le(4, xxh32(head, 0x68647263)), payload);
}

/** A frame whose payload ends in its check. */
export const checked = (type: number, stream: number, body: Uint8Array, flags = 0): Uint8Array =>
  frame(type, stream, join(body, le(4, xxh32(body))), flags);

/** A control frame. */
export const control = (type: number, stream: number, fields: Fields): Uint8Array =>
  checked(type, stream, cbor(fields));

/** PING, PONG and CREDIT. */
export const number = (type: number, stream: number, value: number | bigint): Uint8Array =>
  checked(type, stream, le(8, value));

/** REFETCH and ACK: leaves from a first one on. */
export function leaves(
  type: number,
  stream: number,
  ...runs: readonly (readonly [first: number, count: number])[]
): Uint8Array {
  return checked(type, stream, join(...runs.map(([first, n]) => join(le(8, first), le(4, n)))));
}

/** RECEIPTS: streams from a first one on, two apart. */
export function receipts(
  ...runs: readonly (readonly [first: number, count: number])[]
): Uint8Array {
  return checked(TYPE.receipts, 0, join(...runs.map(([first, n]) => join(le(4, first), le(4, n)))));
}

/** HAVE: bits from a leaf on. */
export function have(
  stream: number,
  first: number,
  bits: readonly number[],
  flags: number = LAST,
): Uint8Array {
  return checked(TYPE.have, stream, join(le(8, first), Uint8Array.from(bits)), flags);
}

/** DIGESTS: those of the leaves from one on. */
export function digests(
  stream: number,
  first: number,
  all: readonly Uint8Array[],
  flags = 0,
): Uint8Array {
  return checked(TYPE.digests, stream, join(le(8, first), ...all), flags);
}

/** What a CHUNK frame says of its chunk; left out, that is one whole fragment, uncompressed. */
export interface ChunkSaid {
  readonly rawBytes?: number;
  readonly encodedBytes?: number;
  readonly fragmentAt?: number;
  readonly checksum?: number;
  readonly codec?: number;
  readonly flags?: number;
}

/** CHUNK. */
export function chunk(
  stream: number,
  at: number | bigint,
  data: Uint8Array,
  said: ChunkSaid = {},
): Uint8Array {
  const { rawBytes = data.byteLength, fragmentAt = 0, codec = 0, flags = 0 } = said;
  const { encodedBytes = codec === 0 ? rawBytes : data.byteLength, checksum = xxh32(data) } = said;
  const numbers = [rawBytes, encodedBytes, fragmentAt, checksum, codec].map((n) => le(4, n));
  const head = join(le(8, at), ...numbers);
  return frame(TYPE.chunk, stream, join(head, le(4, xxh32(head, 0x6368756e)), data), flags);
}

/** Many frames of one kind in as few writes as hold 64 KiB each. */
export function* flood(count: number, make: (n: number) => Uint8Array): Generator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (let n = 0; n < count; n++) {
    const one = make(n);
    parts.push(one);
    bytes += one.byteLength;
    if (bytes < 64 * 1024 && n < count - 1) continue;
    yield join(...parts);
    parts = [];
    bytes = 0;
  }
}
