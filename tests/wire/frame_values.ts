// Any frame but CHUNK as a value and back, as far as one can without a session.
import {
  decodeChecked,
  decodeMessage,
  encodeChecked,
  encodeMessage,
} from "../../lib/wire/control.ts";
import { FRAME, type FrameHeader, frameName, isControlType } from "../../lib/wire/frame_header.ts";
import { decodeListing, encodeListingEntry } from "../../lib/wire/listing.ts";
import type { Messages } from "../../lib/wire/messages.ts";
import {
  decodeBitmapPage,
  decodeDigestPage,
  decodeNumber,
  decodeProof,
  decodeRanges,
  encodeBitmapPage,
  encodeDigestPage,
  encodeNumber,
  encodeProof,
  encodeRanges,
} from "../../lib/wire/pages.ts";
import { decodeReceipts, encodeReceipts, type StreamRun } from "../../lib/wire/receipts.ts";
import { decodeRequestList, encodeRequestList } from "../../lib/wire/request_list.ts";
import {
  decodeTensorFrame,
  encodeTensorFront,
  type TensorFrame,
} from "../../lib/wire/tensor_frame.ts";
import { SHAPES } from "./shapes_by_kind.ts";
import { type BinaryValue, concat } from "./vectors.ts";

const LEAF_TOTAL = 2 ** 40;

/** The streams of some runs, one by one. */
function streamsOf(runs: readonly StreamRun[]): number[] {
  return runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, n) => first + 2 * n));
}

function decodeBody(type: number, body: Uint8Array): Partial<BinaryValue> {
  switch (type) {
    case FRAME.have:
      return decodeBitmapPage(body);
    case FRAME.digests:
      return decodeDigestPage(body);
    case FRAME.listing:
      return { entries: decodeListing(body) };
    case FRAME.refetch:
    case FRAME.ack:
      return { ranges: decodeRanges(body, LEAF_TOTAL) };
    case FRAME.proof:
      return decodeProof(body, LEAF_TOTAL);
    case FRAME.requests:
      return decodeRequestList(body);
    case FRAME.receipts:
      return { runs: decodeReceipts(body) };
    default:
      return { number: decodeNumber(body) };
  }
}

function encodeBody(type: number, value: BinaryValue): Uint8Array {
  switch (type) {
    case FRAME.have:
      return encodeBitmapPage(value);
    case FRAME.digests:
      return encodeDigestPage(value);
    case FRAME.listing:
      return concat(value.entries.map(encodeListingEntry));
    case FRAME.refetch:
    case FRAME.ack:
      return encodeRanges(value.ranges);
    case FRAME.proof:
      return encodeProof(value);
    case FRAME.requests:
      return encodeRequestList(value, 0, 60_000).body;
    case FRAME.receipts:
      return concat([...encodeReceipts(streamsOf(value.runs))]);
    default:
      return encodeNumber(value.number);
  }
}

/** What a payload says; throws at the first thing that is wrong. */
export function decodeFrame(header: FrameHeader, payload: Uint8Array): unknown {
  const { type } = header;
  if (isControlType(type)) {
    return decodeMessage<unknown>(SHAPES[frameName(type) as keyof Messages], header, payload);
  }
  if (type !== FRAME.tensor) return decodeBody(type, decodeChecked(header, payload));
  const tensor = decodeTensorFrame(payload);
  return { ...tensor, data: tensor.data.slice() };
}

/** The whole frame that says so. */
export function encodeFrame(
  { type, flags, stream }: Pick<FrameHeader, "type" | "flags" | "stream">,
  value: unknown,
): Uint8Array {
  const kind = frameName(type) as keyof typeof FRAME;
  if (isControlType(type)) {
    return encodeMessage(kind as keyof Messages, stream, value as Messages[keyof Messages]);
  }
  if (type === FRAME.tensor) {
    const tensor = value as TensorFrame;
    return concat([encodeTensorFront(stream, tensor), tensor.data]);
  }
  return encodeChecked(FRAME[kind], stream, encodeBody(type, value as BinaryValue), flags);
}
