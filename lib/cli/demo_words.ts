import type { DemoLeg, DemoResult } from "./demo.ts";
import { formatBytes } from "./format.ts";
import type { Style } from "./style.ts";

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

/** `45.1 MB/s`: what a person waited for, by how long they waited. */
function rate(bytes: number, elapsedMs: number): string {
  return `${formatBytes((bytes * 1000) / elapsedMs)}/s`;
}

/** A finished pull in one line. */
export function legLine(leg: DemoLeg): string {
  const { bytes, elapsedMs, resumedBytes, sentBytes } = leg;
  const sent = `${formatBytes(sentBytes)} sent in ${seconds(elapsedMs)}`;
  return resumedBytes > 0
    ? `${sent}, ${formatBytes(resumedBytes)} was in place`
    : `${sent}, ${rate(bytes, elapsedMs)}`;
}

/** What compression came to on the slow link. */
export interface Saving {
  readonly savedBytes: number;
  readonly savedMs: number;
}

export function savingOf({ uncompressed, compressed }: DemoResult): Saving {
  return {
    savedBytes: uncompressed.sentBytes - compressed.sentBytes,
    savedMs: uncompressed.elapsedMs - compressed.elapsedMs,
  };
}

/** The closing table and what it comes to. */
export function closingWords(result: DemoResult, style: Style): string {
  const { fullSpeed, cut, resumed, uncompressed, compressed, weights } = result;
  const [cutLink, slowLink] = [result.cutLinkBytesPerSecond, result.slowLinkBytesPerSecond].map(
    (bytesPerSecond) => `${bytesPerSecond / 1e6} MB/s`,
  );
  const row = (name: string, leg: DemoLeg) => [
    name,
    formatBytes(leg.sentBytes),
    seconds(leg.elapsedMs),
    rate(leg.bytes - leg.resumedBytes, leg.elapsedMs),
    style.good("verified"),
  ];
  const table = [
    ["PULL", "SENT", "TIME", "RATE", ""],
    row("model, full speed", fullSpeed),
    [
      `model, ${cutLink}, server killed`,
      formatBytes(cut.sentBytes),
      seconds(cut.elapsedMs),
      "",
      "cut",
    ],
    row(`model, ${cutLink}, resumed`, resumed),
    row(`shard, ${slowLink}, uncompressed`, uncompressed),
    row(`shard, ${slowLink}, compressed`, compressed),
  ];
  const { savedBytes, savedMs } = savingOf(result);
  const share = ((savedBytes / uncompressed.sentBytes) * 100).toFixed(0);
  const movedBytes = 2 * weights.bytes + uncompressed.bytes + compressed.bytes;
  const facts = [
    [
      "Moved",
      `${formatBytes(movedBytes)}; the model has ${weights.tensors} tensors, ${formatBytes(weights.bytes)}`,
    ],
    [
      "Compression",
      savedBytes > 0
        ? `saved ${formatBytes(savedBytes)} (${share} %) and ${seconds(savedMs)} of ${seconds(uncompressed.elapsedMs)}`
        : "saved nothing this time: the machine was too busy for it to pay",
    ],
    [
      "Not sent twice",
      `${formatBytes(resumed.resumedBytes)}; ${formatBytes(cut.sentBytes + resumed.sentBytes)} sent in all by both servers`,
    ],
    ["Verified", "every pull, by the SHA-256 of each file: all as in the source"],
  ];
  const [head = "", ...rows] = aligned(table);
  const [...lines] = facts.map(([name = "", fact]) => `${style.bold(name.padEnd(16))}${fact}`);
  return [style.dim(head), ...rows, "", ...lines].join("\n");
}

/** Columns as wide as what is in them, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = [0, 1, 2, 3].map((n) => Math.max(...rows.map((row) => row[n]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, n) => (n === 0 ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
