// This module runs in every runtime.
import type { TransferTotals } from "../session/peer_registry.ts";
import type { ResponseTotals } from "../session/response_meter.ts";
import type { NodeHead, NodeStatus } from "./node_status.ts";

/** The content type of {@linkcode formatMetrics}. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** The phases of a transfer under way; each has a sample, so that none vanishes at zero. */
const PHASES = ["connecting", "moving", "verifying", "retrying", "paused"] as const;
const DIRECTIONS = ["in", "out"] as const;
const ENDS = ["complete", "failed", "cancelled"] as const;

/** Counters of both directions: the name, what it counts, and where that is found. */
const COUNTERS: readonly (readonly [string, string, keyof TransferTotals])[] = [
  ["verified_bytes", "Bytes of tensors verified at their receiver, resumed ones included", "bytes"],
  ["resumed_bytes", "Bytes that were in place already and were not sent again", "resumedBytes"],
  ["wire_bytes", "Bytes of chunks as they were on the wire, repeats included", "wireBytes"],
  ["raw_bytes", "Bytes of the same chunks before compression", "rawBytes"],
  ["chunks", "Chunks moved, repeats included", "chunks"],
  ["retries", "Attempts at transfers after the first", "retries"],
];

/**
 * A node's counters and gauges in the text format of Prometheus. Written out here because the
 * libraries that do it bring a registry of their own, which would have to be told of every change,
 * and need Node; the format itself is three kinds of line.
 */
export function formatMetrics({ transfers, ...head }: NodeStatus): string {
  const { node, role, version, totals } = head;
  const own = { node, role, version };
  const ofBoth = (value: (of: TransferTotals) => number): Sample[] =>
    DIRECTIONS.map((direction) => [{ direction }, value(totals[direction])]);
  return [
    family("info", "gauge", "What runs here; always 1", [[own, 1]]),
    family("uptime_seconds", "gauge", "Since the status came up", [[{}, head.uptimeMs / 1000]]),
    family("connections", "gauge", "Peers that are connected", byTransport(head)),
    family(
      "round_trip_seconds",
      "gauge",
      "The longest round trip of all connections",
      slowest(head),
    ),
    family("transfers", "gauge", "Transfers under way", byPhase(transfers)),
    family(
      "transfers_ended_total",
      "counter",
      "Transfers that are over",
      DIRECTIONS.flatMap((direction) =>
        ENDS.map((status): Sample => [{ direction, status }, totals[direction][status]]),
      ),
    ),
    ...COUNTERS.map(([name, help, of]) =>
      family(
        `${name}_total`,
        "counter",
        help,
        ofBoth((both) => both[of]),
      ),
    ),
    family(
      "connection_bytes_total",
      "counter",
      "Bytes of all connections of peers, everything counted",
      [
        [{ direction: "in" }, totals.receivedBytes],
        [{ direction: "out" }, totals.sentBytes],
      ],
    ),
    ...ofResponses(totals.responses),
  ].join("");
}

/** Plain HTTP has no peers and no transfers: it is counted by itself. */
function ofResponses({ underWay, complete, cut, bytes }: ResponseTotals): string[] {
  const ended: Sample[] = [
    [{ status: "complete" }, complete],
    [{ status: "cut" }, cut],
  ];
  return [
    family("http_responses", "gauge", "Bodies of tensors being read by HTTP", [[{}, underWay]]),
    family("http_responses_ended_total", "counter", "Such bodies that are over", ended),
    family("http_response_bytes_total", "counter", "Bytes of such bodies", [[{}, bytes]]),
  ];
}

function byTransport({ connections }: NodeHead): Sample[] {
  const counts = new Map<string, number>();
  for (const { transport } of connections) counts.set(transport, (counts.get(transport) ?? 0) + 1);
  return [...counts].map(([transport, count]) => [{ transport }, count]);
}

function slowest({ connections }: NodeHead): Sample[] {
  const known = connections.flatMap(({ rttMs }) => rttMs ?? []);
  return known.length === 0 ? [] : [[{}, Math.max(...known) / 1000]];
}

function byPhase(transfers: NodeStatus["transfers"]): Sample[] {
  return DIRECTIONS.flatMap((direction) =>
    PHASES.map((phase): Sample => {
      const count = transfers.filter((one) => one.direction === direction && one.phase === phase);
      return [{ direction, phase }, count.length];
    }),
  );
}

function family(
  name: string,
  type: "counter" | "gauge",
  help: string,
  samples: readonly Sample[],
): string {
  const lines = samples.map(([labels, value]) => `headrace_${name}${braced(labels)} ${value}\n`);
  return `# HELP headrace_${name} ${help}\n# TYPE headrace_${name} ${type}\n${lines.join("")}`;
}

function braced(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join()}}`;
}

/** What the format wants escaped in a label. */
const escapeLabel = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
