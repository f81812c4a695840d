// This module runs in every runtime.
/**
 * The wire format as pure functions over bytes: preamble, frame headers, control messages, pages
 * and checksums. `SPEC.md` beside this file is the authority.
 *
 * @module headrace/wire
 */
export { type ChunkHead, chunkHeadOf, readChunkHead, writeChunkFront } from "./chunk_head.ts";
export { decodeMessage, encodeMessage } from "./control.ts";
export { errorOf, faultOf } from "./fault.ts";
export {
  CHUNK_HEAD_BYTES,
  FIRST_SKIPPABLE_TYPE,
  FLAG_AGAIN,
  FLAG_LAST,
  FLAG_QUERY,
  FRAME,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  type FrameType,
  frameName,
  isControlType,
  MAX_TENSOR_DATA_BYTES,
  maxPayloadBytes,
  readFrameHeader,
  writeFrameHeader,
} from "./frame_header.ts";
export { type FrameHandler, FrameParser } from "./frame_parser.ts";
export { goodbyeShape, helloShape, laneShape } from "./link_shapes.ts";
export { decodeListing, encodeListingEntry, type ListingEntry } from "./listing.ts";
export type {
  Accept,
  Complete,
  DigestMode,
  Extent,
  Fault,
  Goodbye,
  Hello,
  Lane,
  List,
  Messages,
  Notify,
  Offer,
  Pause,
  Phase,
  Receipt,
  Reprioritise,
  Request,
  Subscribe,
} from "./messages.ts";
export {
  type BitmapPage,
  type DigestPage,
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
  type ProofPage,
} from "./pages.ts";
export {
  beginsPreamble,
  commonVersion,
  decodePreamble,
  encodePreamble,
  HIGHEST_VERSION,
  LOWEST_VERSION,
  PREAMBLE_BYTES,
  type VersionRange,
} from "./preamble.ts";
export { decodeReceipts, encodeReceipts, type StreamRun } from "./receipts.ts";
export { decodeRequestList, encodeRequestList, type RequestList } from "./request_list.ts";
export { acceptShape, receiptShape, requestShape } from "./request_shapes.ts";
export type { Shape } from "./shape.ts";
export { listShape, notifyShape, subscribeShape } from "./store_shapes.ts";
export {
  decodeTensorFrame,
  encodeTensorFront,
  type TensorFrame,
  type TensorPush,
} from "./tensor_frame.ts";
export {
  completeShape,
  extentShape,
  faultShape,
  offerShape,
  pauseShape,
  phaseShape,
  reprioritiseShape,
} from "./transfer_shapes.ts";
export { xxh32 } from "./xxh32.ts";
