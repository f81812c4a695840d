// What many transfers at once got of their connection.
import type { FairReport, Track } from "./play.ts";

/** How evenly a connection was shared. */
export interface Shares {
  /** What each transfer had got when the first one was complete, over the mean. */
  readonly shares: readonly number[];
  /** Transfers that had got nothing by then. */
  readonly starved: number;
  /** The longest that any transfer went without getting anything, from the request on. */
  readonly longestSilenceMs: number;
  /** How many times later the unluckiest was complete than it would have been by even shares. */
  readonly mostSlowdown: number;
  readonly bytesPerSecond: number;
}

/** Works them out of what was seen of each transfer. */
export function sharesOf({ transfers, elapsedMs }: FairReport): Shares {
  const firstMs = Math.min(...transfers.map(({ completeMs }) => completeMs));
  const got = transfers.map((track) => bytesAt(track, firstMs));
  const mean = got.reduce((sum, bytes) => sum + bytes, 0) / got.length;
  const totalBytes = transfers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const bytesPerMs = totalBytes / elapsedMs;
  return {
    shares: got.map((bytes) => bytes / mean),
    starved: got.filter((bytes) => bytes === 0).length,
    longestSilenceMs: Math.max(...transfers.map(silenceOf)),
    mostSlowdown: Math.max(
      ...transfers.map(
        ({ byteLength, completeMs }) => completeMs / fairMs(transfers, byteLength, bytesPerMs),
      ),
    ),
    bytesPerSecond: bytesPerMs * 1000,
  };
}

/** When a transfer is complete if all get the same until each has all it wants. */
function fairMs(transfers: readonly Track[], byteLength: number, bytesPerMs: number): number {
  const sentBytes = transfers.reduce(
    (sum, other) => sum + Math.min(other.byteLength, byteLength),
    0,
  );
  return sentBytes / bytesPerMs;
}

function bytesAt({ steps }: Track, atMs: number): number {
  return steps.findLast(([stepMs]) => stepMs <= atMs)?.[1] ?? 0;
}

function silenceOf({ steps }: Track): number {
  let beforeMs = 0;
  let longestMs = 0;
  for (const [atMs] of steps) {
    longestMs = Math.max(longestMs, atMs - beforeMs);
    beforeMs = atMs;
  }
  return longestMs;
}
