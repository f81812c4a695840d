import { formatBytes, formatSeconds } from "./format.ts";
import type { ShownStatus, ShownTransfer } from "./status_client.ts";

/** How much of a terminal there is. */
export interface TableSize {
  readonly columns: number;
  readonly rows: number;
}

interface Row extends ShownTransfer {
  /** From whom to whom. */
  readonly route: string;
}

const HEAD = ["ROUTE", "TENSOR", "DONE", "OF", "RATE", "LEFT", "PRIORITY", "PHASE"];
const TENSOR_COLUMN = 1;
const LEAST_TENSOR_COLUMNS = 12;
const ENDED = new Set(["complete", "failed", "cancelled"]);

/**
 * What all nodes together have under way, one line a transfer: one that both of its ends show is
 * there once. The most urgent come first.
 */
export function statusLines(nodes: readonly ShownStatus[], size: TableSize): string[] {
  const rows = rowsOf(nodes);
  const connections = nodes.reduce((sum, node) => sum + node.connections.length, 0);
  const responses = nodes.reduce((sum, { totals }) => sum + totals.responses.underWay, 0);
  const bytesPerSecond = rows.reduce((sum, row) => sum + row.bytesPerSecond, 0);
  const summary = [
    counted(nodes.length, "node"),
    counted(connections, "connection"),
    `${counted(rows.length, "transfer")} under way`,
    ...(responses > 0 ? [`${counted(responses, "response")} by HTTP`] : []),
    `${formatBytes(bytesPerSecond)}/s`,
  ].join(", ");
  if (rows.length === 0) return [summary];
  const shown = rows.slice(0, Math.max(1, size.rows - 3));
  const cells = [HEAD, ...shown.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const others = widths.reduce((sum, width) => sum + width + 2, -2) - (widths[TENSOR_COLUMN] ?? 0);
  const room = Math.max(LEAST_TENSOR_COLUMNS, size.columns - others);
  widths[TENSOR_COLUMN] = Math.min(widths[TENSOR_COLUMN] ?? 0, room);
  const lines = cells.map((row) =>
    row
      .map((cell, column) => fit(cell, widths[column] ?? 0, column))
      .join("  ")
      .trimEnd(),
  );
  const hidden = rows.length - shown.length;
  return [summary, ...lines, ...(hidden > 0 ? [`and ${hidden} more`] : [])];
}

function rowsOf(nodes: readonly ShownStatus[]): Row[] {
  const byId = new Map<string, Row>();
  for (const { node, transfers } of nodes) {
    for (const transfer of transfers) {
      if (ENDED.has(transfer.status)) continue;
      const [from, to] = [node, transfer.remote ?? "?"];
      const route = transfer.direction === "out" ? `${from} > ${to}` : `${to} > ${from}`;
      const known = byId.get(transfer.id);
      // What the receiver has verified is the truth of it.
      if (!known || transfer.direction === "in") byId.set(transfer.id, { ...transfer, route });
    }
  }
  return [...byId.values()].sort((a, b) => b.priority - a.priority);
}

function cellsOf(row: Row): string[] {
  const { bytes, totalBytes, bytesPerSecond, etaMs, priority, retries } = row;
  const share = totalBytes ? `${Math.floor((bytes / totalBytes) * 100)} %` : "";
  const again = retries > 0 ? `, retry ${retries}` : "";
  return [
    row.route,
    row.address,
    share,
    totalBytes === undefined ? "" : formatBytes(totalBytes),
    `${formatBytes(bytesPerSecond)}/s`,
    etaMs === undefined ? "" : formatSeconds(etaMs),
    String(priority),
    `${row.phase}${again}`,
  ].map(oneLine);
}

function fit(cell: string, width: number, column: number): string {
  if (cell.length > width) return `${cell.slice(0, Math.max(0, width - 3))}...`;
  return column >= 2 && column <= 6 ? cell.padStart(width) : cell.padEnd(width);
}

/** Control characters in what a peer says do not reach the terminal. */
const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, " ");

const counted = (count: number, what: string): string =>
  `${count} ${what}${count === 1 ? "" : "s"}`;
