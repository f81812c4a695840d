// This module runs in every runtime.
// What the messages of a transfer must be to be believed; SPEC.md has the same in words.
import { MIN_CHUNK_BYTES } from "../tensor/chunk.ts";
import {
  address,
  descriptor,
  digest,
  id,
  priority,
  root,
  texts,
  u53,
  version,
} from "./field_shapes.ts";
import type { Complete, Extent, Fault, Offer, Pause, Phase, Reprioritise } from "./messages.ts";
import { flag, optional, record, type Shape, text, whole } from "./shape.ts";

/** OFFER's message. */
export const offerShape: Shape<Offer> = record<Offer>({
  id,
  epoch: u53,
  address,
  descriptor,
  version,
  priority,
  digest,
  codecs: texts(32, 32),
  chunkBytes: whole(MIN_CHUNK_BYTES),
  open: optional(flag),
  root: optional(root),
});

/** EXTENT's message. */
export const extentShape: Shape<Extent> = record<Extent>({ descriptor });

/** COMPLETE's message. */
export const completeShape: Shape<Complete> = record<Complete>({
  byteLength: u53,
  version,
  root: optional(root),
  chunks: u53,
});

/** PHASE's message. */
export const phaseShape: Shape<Phase> = record<Phase>({ phase: text(32), bytes: u53 });

/** REPRIORITISE's message. */
export const reprioritiseShape: Shape<Reprioritise> = record<Reprioritise>({ priority });

/** PAUSE's message. */
export const pauseShape: Shape<Pause> = record<Pause>({ paused: flag });

/** ERROR's and CANCEL's message. */
export const faultShape: Shape<Fault> = record<Fault>({
  code: text(32),
  retryable: flag,
  message: text(4096),
});
