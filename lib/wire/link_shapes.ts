// This module runs in every runtime.
// What the messages of a connection must be to be believed; SPEC.md has the same in words.
import { DEFAULT_LIMITS } from "../limits.ts";
import { MIN_CHUNK_BYTES } from "../tensor/chunk.ts";
import { id, texts, u53 } from "./field_shapes.ts";
import type { Goodbye, Hello, Lane } from "./messages.ts";
import { optional, record, type Shape, text, whole } from "./shape.ts";

/** HELLO's message. */
export const helloShape: Shape<Hello> = record<Hello>({
  instance: id,
  node: text(256),
  role: text(32),
  codecs: texts(32, 32),
  features: texts(64, 64),
  maxChunkBytes: whole(MIN_CHUNK_BYTES),
  connectionCredit: u53,
  maxTransfers: u53,
  maxRequests: u53,
  laneKey: optional(id),
  maxLanes: optional(u53),
  token: optional(text(DEFAULT_LIMITS.maxTokenBytes)),
});

/** GOODBYE's message. */
export const goodbyeShape: Shape<Goodbye> = record<Goodbye>({ message: optional(text(2048)) });

/** LANE's message. */
export const laneShape: Shape<Lane> = record<Lane>({ lane: whole(1), key: id });
