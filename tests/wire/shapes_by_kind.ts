import { goodbyeShape, helloShape, laneShape } from "../../lib/wire/link_shapes.ts";
import type { Messages } from "../../lib/wire/messages.ts";
import { acceptShape, receiptShape, requestShape } from "../../lib/wire/request_shapes.ts";
import { record, type Shape } from "../../lib/wire/shape.ts";
import { listShape, notifyShape, subscribeShape } from "../../lib/wire/store_shapes.ts";
import {
  completeShape,
  extentShape,
  faultShape,
  offerShape,
  pauseShape,
  phaseShape,
  reprioritiseShape,
} from "../../lib/wire/transfer_shapes.ts";

/** The shape of every control message, by the name of its frame type. */
export const SHAPES: { readonly [K in keyof Messages]: Shape<Messages[K]> } = {
  hello: helloShape,
  goodbye: goodbyeShape,
  error: faultShape,
  request: requestShape,
  offer: offerShape,
  accept: acceptShape,
  complete: completeShape,
  receipt: receiptShape,
  cancel: faultShape,
  phase: phaseShape,
  reprioritise: reprioritiseShape,
  pause: pauseShape,
  extent: extentShape,
  list: listShape,
  subscribe: subscribeShape,
  notify: notifyShape,
  unsubscribe: record({}),
  lane: laneShape,
};
