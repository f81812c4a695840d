// What the kernels hold of a connection's bytes at either end, from /proc (Linux).
import { readFileSync, readlinkSync } from "node:fs";
import type { Link } from "./link.ts";
import type { Ends } from "./two_processes.ts";

/** A line of `/proc/net/tcp`. */
export interface TcpQueues {
  readonly localPort: number;
  readonly remotePort: number;
  /** Written, and not yet acknowledged by the other kernel. */
  readonly sendQueueBytes: number;
  /** Arrived, and not yet read by the program. */
  readonly receiveQueueBytes: number;
}

/** What was held at a moment, summed over the connections between the ends. */
export interface QueueSample {
  /** Milliseconds since 1970, so that it can be laid beside what the ends say. */
  readonly atMs: number;
  readonly sendQueueBytes: number;
  readonly receiveQueueBytes: number;
  /** At the link's narrowest point; these are among what the sender holds. */
  readonly linkBytes: number;
}

/** The connections of a `/proc/net/tcp`. */
export function parseTcpTable(table: string): TcpQueues[] {
  const lines = table.trim().split("\n").slice(1);
  return lines.map((line) => {
    const [, local = "", remote = "", , queues = ""] = line.trim().split(/\s+/);
    const [sendQueue = "", receiveQueue = ""] = queues.split(":");
    const portOf = (address: string) => Number.parseInt(address.split(":")[1] ?? "", 16);
    return {
      localPort: portOf(local),
      remotePort: portOf(remote),
      sendQueueBytes: Number.parseInt(sendQueue, 16),
      receiveQueueBytes: Number.parseInt(receiveQueue, 16),
    };
  });
}

/**
 * Samples the sender's send queues and the receiver's receive queues until it is stopped. Reads the
 * tables of the ends' own network namespaces; on a system without them there are no samples.
 */
export function sampleQueues(ends: Ends, link: Link, everyMs: number): { stop(): QueueSample[] } {
  const samples: QueueSample[] = [];
  const { sendPid, receivePid, listeningPort, dialledPort } = ends;
  const socketsOf = (pid: number) =>
    parseTcpTable(readFileSync(`/proc/${pid}/net/tcp`, "utf8")).filter(
      ({ localPort, remotePort }) =>
        [listeningPort, dialledPort].some((port) => port === localPort || port === remotePort),
    );
  const timer = setInterval(() => {
    try {
      // On loopback one table has the sockets of both ends. That does no harm: what the other end of
      // each queue holds is requests, and those are next to nothing.
      const ofSender = socketsOf(sendPid);
      const ofReceiver = sharesNetwork(sendPid, receivePid) ? ofSender : socketsOf(receivePid);
      samples.push({
        atMs: Date.now(),
        sendQueueBytes: sum(ofSender.map((socket) => socket.sendQueueBytes)),
        receiveQueueBytes: sum(ofReceiver.map((socket) => socket.receiveQueueBytes)),
        linkBytes: link.queuedBytes?.() ?? 0,
      });
    } catch {
      // An end has gone, or there is no /proc.
    }
  }, everyMs);
  return {
    stop() {
      clearInterval(timer);
      return samples;
    },
  };
}

function sharesNetwork(onePid: number, otherPid: number): boolean {
  const network = (pid: number) => readlinkSync(`/proc/${pid}/ns/net`);
  return network(onePid) === network(otherPid);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
