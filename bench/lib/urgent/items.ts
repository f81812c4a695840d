// What is moved, the same in every way and at both ends.
import { contentOf } from "../content.ts";
import type { ItemName } from "./mover.ts";

const MiB = 1024 * 1024;

/** Bulk is written in pieces of this size. */
export const PIECE_BYTES: number = MiB;
/** Bulk repeats itself after this many bytes. */
export const UNIT_BYTES: number = 16 * MiB;
/** Transfers, streams or whatever a way calls them that make up a bulk on one connection. */
export const BULKS = 4;

/** The bytes of an item. */
export function itemOf(name: ItemName, urgentBytes: number): Uint8Array {
  return contentOf("random", name === "urgent" ? urgentBytes : 3 * MiB + 12345);
}

/** One turn of the bulk's bytes, and a piece more, so that any piece is one view. */
export function bulkUnit(): Uint8Array {
  return contentOf("random", UNIT_BYTES + PIECE_BYTES);
}
