// This module runs in every runtime.
import { ProtocolError, TransportError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { checkAddress, type TensorAddress } from "../tensor/address.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import { DTYPES, dtypeOfCode } from "../tensor/dtype.ts";
import {
  FRAME,
  FRAME_HEADER_BYTES,
  MAX_TENSOR_DATA_BYTES,
  MAX_TENSOR_HEAD_BYTES,
  writeFrameHeader,
} from "./frame_header.ts";
import { readU64, viewOf, writeU64 } from "./u64.ts";
import { xxh32 } from "./xxh32.ts";

const FIXED_BYTES = 24;
const CHECK_BYTES = 4;
const LEAST_HEAD_BYTES = FIXED_BYTES + CHECK_BYTES;
const CHECK_SEED = 0x74656e73;
const DIGEST_BYTES = 32;
const ID_BYTES = 16;
const MAX_VERSION_BYTES = 32;
const HAS_DIGEST = 0x01;
const IS_PUSH = 0x02;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a TENSOR frame says of itself when it answers no request. */
export interface TensorPush {
  /** The transfer's 16 random bytes. */
  readonly id: Uint8Array;
  readonly epoch: number;
  readonly address: TensorAddress;
  readonly priority: number;
}

/** A whole tensor in one frame. */
export interface TensorFrame {
  readonly descriptor: TensorDescriptor;
  readonly version: Uint8Array;
  /** SHA-256 of the bytes before compression; absent when the digest mode is `none`. */
  readonly digest?: Uint8Array | undefined;
  /** XXH32 of the bytes before compression; 0 where there is a digest. */
  readonly checksum: number;
  /** 0 none; n the n-th codec of the receiver's HELLO, counted from 1. */
  readonly codec: number;
  /** The bytes as they are on the wire, at most {@linkcode MAX_TENSOR_DATA_BYTES}. */
  readonly data: Uint8Array;
  /** Left out in an answer to a request. */
  readonly push?: TensorPush | undefined;
}

/** A TENSOR frame up to its data, which goes right behind; see SPEC.md for its bytes. */
export function encodeTensorFront(stream: number, tensor: TensorFrame): Uint8Array {
  const { descriptor, version, digest, checksum, codec, data, push } = tensor;
  const { shape } = descriptor;
  const names = push
    ? [push.address.model, push.address.partition, push.address.tensor].map((n) =>
        encoder.encode(n),
      )
    : [];
  let headBytes = FIXED_BYTES + 8 * shape.length + version.byteLength + CHECK_BYTES;
  if (digest) headBytes += DIGEST_BYTES;
  if (push) headBytes += ID_BYTES + 8 + 1 + 6;
  for (const name of names) headBytes += name.byteLength;

  const frame = new Uint8Array(FRAME_HEADER_BYTES + headBytes);
  const payloadBytes = headBytes + data.byteLength;
  writeFrameHeader(frame, { type: FRAME.tensor, flags: 0, stream, payloadBytes });
  const head = frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + headBytes);
  const view = viewOf(head);
  view.setUint8(0, DTYPES[descriptor.dtype].code);
  view.setUint8(1, shape.length);
  view.setUint8(2, version.byteLength);
  view.setUint8(3, (digest ? HAS_DIGEST : 0) | (push ? IS_PUSH : 0));
  view.setUint32(4, headBytes, true);
  view.setUint32(8, descriptor.byteLength, true);
  view.setUint32(12, data.byteLength, true);
  view.setUint32(16, checksum, true);
  view.setUint32(20, codec, true);
  let at = FIXED_BYTES;
  for (const size of shape) {
    writeU64(view, at, size);
    at += 8;
  }
  const put = (bytes: Uint8Array): void => {
    head.set(bytes, at);
    at += bytes.byteLength;
  };
  put(version);
  if (digest) put(digest);
  if (push) {
    put(push.id);
    writeU64(view, at, push.epoch);
    view.setUint8(at + 8, push.priority);
    at += 9;
    for (const name of names) {
      view.setUint16(at, name.byteLength, true);
      at += 2;
    }
    for (const name of names) put(name);
  }
  view.setUint32(at, xxh32(head.subarray(0, at), CHECK_SEED), true);
  return frame;
}

/**
 * Reads a TENSOR frame's payload. Digest and data share its memory.
 *
 * @throws {TransportError} when the head's check does not match, or cannot be where the head says.
 * @throws {ProtocolError} when the head contradicts itself or passes a limit.
 */
export function decodeTensorFrame(payload: Uint8Array): TensorFrame {
  const view = viewOf(payload);
  if (payload.byteLength < LEAST_HEAD_BYTES) {
    throw new ProtocolError(`The peer sent a tensor frame of ${payload.byteLength} bytes`);
  }
  const headBytes = view.getUint32(4, true);
  const mostBytes = Math.min(payload.byteLength, MAX_TENSOR_HEAD_BYTES);
  const end = headBytes - CHECK_BYTES;
  // The head's own length says where its check is, so that length is believed last: damaged, it
  // must not pass for a peer that breaks the protocol.
  const isPlaced = headBytes >= LEAST_HEAD_BYTES && headBytes <= mostBytes;
  if (!isPlaced || view.getUint32(end, true) !== xxh32(payload.subarray(0, end), CHECK_SEED)) {
    throw new TransportError("Cannot read a tensor: the check of its head does not match");
  }
  const dtype = dtypeOfCode(view.getUint8(0));
  const rank = view.getUint8(1);
  const versionBytes = view.getUint8(2);
  const flags = view.getUint8(3);
  const rawBytes = view.getUint32(8, true);
  const data = payload.subarray(headBytes);
  const codec = view.getUint32(20, true);
  const isCoded =
    codec === 0 ? data.byteLength === rawBytes : data.byteLength > 0 && data.byteLength < rawBytes;
  if (
    !dtype ||
    rank > DEFAULT_LIMITS.maxRank ||
    versionBytes > MAX_VERSION_BYTES ||
    flags > (HAS_DIGEST | IS_PUSH) ||
    (rawBytes === 0 && (flags & HAS_DIGEST) !== 0) ||
    view.getUint32(12, true) !== data.byteLength ||
    rawBytes > MAX_TENSOR_DATA_BYTES ||
    !isCoded
  ) {
    throw new ProtocolError(
      `The peer sent a tensor frame that cannot be: ${data.byteLength} bytes of ${rawBytes} with codec ${codec}`,
    );
  }
  let at = FIXED_BYTES;
  const take = (length: number): number => {
    at += length;
    if (at > end) throw new ProtocolError("The peer sent a tensor frame whose head ends early");
    return at - length;
  };
  const copy = (length: number): Uint8Array => payload.slice(take(length), at);
  const shape: number[] = [];
  for (let n = 0; n < rank; n++) shape.push(readU64(view, take(8)));
  const version = copy(versionBytes);
  const digestAt = (flags & HAS_DIGEST) !== 0 ? take(DIGEST_BYTES) : undefined;
  const digest = digestAt === undefined ? undefined : payload.subarray(digestAt, at);
  try {
    const push = (flags & IS_PUSH) === 0 ? undefined : readPush(payload, view, take);
    if (at !== end) throw new ProtocolError("The peer sent a tensor frame whose head goes on");
    const descriptor = createDescriptor(dtype, shape, rawBytes);
    return { descriptor, version, digest, checksum: view.getUint32(16, true), codec, data, push };
  } catch (cause) {
    if (cause instanceof ProtocolError) throw cause;
    throw new ProtocolError("The peer sent a tensor whose name or size cannot be", { cause });
  }
}

function readPush(
  payload: Uint8Array,
  view: DataView,
  take: (length: number) => number,
): TensorPush {
  const idAt = take(ID_BYTES);
  const id = payload.slice(idAt, idAt + ID_BYTES);
  const epoch = readU64(view, take(8));
  const priority = view.getUint8(take(1));
  const lengths = [0, 1, 2].map(() => view.getUint16(take(2), true));
  const [model, partition, tensor] = lengths.map((length) => {
    const from = take(length);
    return decoder.decode(payload.subarray(from, from + length));
  }) as [string, string, string];
  const address = checkAddress({ model, partition, tensor });
  if (Number.isNaN(epoch)) throw new ProtocolError("The peer sent a tensor of no epoch");
  return { id, epoch, address, priority };
}
