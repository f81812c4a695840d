// The golden transcripts as bytes; scripts/wire_transcripts.py makes them.
import { fromHex } from "../hex.ts";
import json from "../vectors/transcripts.json" with { type: "json" };
import { concat, contentOf } from "./vectors.ts";

/** An end of a connection. */
export type End = "dialler" | "accepter";

/** A preamble or a whole frame, and who says it. */
export interface TranscriptStep {
  readonly from: End;
  readonly bytes: Uint8Array;
}

/** Connections, one after another, as the steps of both ends. */
export type Transcript = readonly (readonly TranscriptStep[])[];

/** Longer than any tensor of a transcript. */
const CONTENT_BYTES = 2 ** 21 + 2 ** 17;

/** What every transcript's tensor begins with. */
export const transcriptContent: Uint8Array = contentOf(CONTENT_BYTES);
export const transcriptId: Uint8Array = fromHex(json.id.hex);
export const transcriptVersion: Uint8Array = fromHex(json.version.hex);
export const transcriptAddress: typeof json.address = json.address;
export const transcriptChunkBytes: number = json.chunkBytes;

function bytesOf(part: string | number[]): Uint8Array {
  if (typeof part === "string") return fromHex(part);
  const [from = 0, length = 0] = part;
  return transcriptContent.subarray(from, from + length);
}

function transcriptOf(
  connections: readonly (readonly { from: string; parts: unknown[] }[])[],
): Transcript {
  return connections.map((steps) =>
    steps.map(({ from, parts }) => ({
      from: from as End,
      bytes: concat((parts as (string | number[])[]).map(bytesOf)),
    })),
  );
}

/** What a transcript is about. */
export type TranscriptName =
  | "pull"
  | "small_pull"
  | "resumed_pull"
  | "cancelled_push"
  | "subscription";

/** All of them by name. */
export const transcripts: Readonly<Record<TranscriptName, Transcript>> = {
  pull: transcriptOf(json.transcripts.pull),
  small_pull: transcriptOf(json.transcripts.small_pull),
  resumed_pull: transcriptOf(json.transcripts.resumed_pull),
  cancelled_push: transcriptOf(json.transcripts.cancelled_push),
  subscription: transcriptOf(json.transcripts.subscription),
};
