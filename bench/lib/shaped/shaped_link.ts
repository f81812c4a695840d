import { readFileSync } from "node:fs";
import { flag } from "../compare.ts";
import type { Link } from "../link.ts";
import { say } from "../two_processes.ts";
import { makeNamespaces, type Namespaces } from "./namespaces.ts";
import { type Program, startProgram } from "./program.ts";
import type { Shape } from "./shape.ts";

/** A link of a chosen rate and round trip. */
export interface ShapedLink extends Link {
  /** Whether the ends' kernels see the link's packets, losses and round trips. */
  readonly isReal: boolean;
  /** What the narrowest point has dropped so far on its way to the dialling end. */
  droppedPackets(): number | undefined;
  remove(): void;
}

/**
 * A link between network namespaces, or, where the machine does not allow that or `--link=proxy` is
 * given, through a proxy on loopback, which is said loudly: its ends' kernels see a fast link with a
 * slow reader at its end.
 */
export async function openShapedLink(shape: Shape): Promise<ShapedLink> {
  try {
    if (flag("link", "namespaces") === "proxy") throw new Error("--link=proxy");
    return betweenNamespaces(shape, await makeNamespaces(shape));
  } catch (error) {
    say(
      `!! NO REAL LINK between network namespaces (${error instanceof Error ? error.message : error}).\n` +
        "!! A throttling proxy takes its place. What follows says little about real links.",
    );
    return throughProxy(shape);
  }
}

function betweenNamespaces(shape: Shape, namespaces: Namespaces): ShapedLink {
  const congestion = readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "utf8").trim();
  const host = namespaces.leftAddress;
  return {
    isReal: true,
    about:
      `${textOf(shape)}, between network namespaces: rate and drops by the kernel's token bucket, ` +
      `delay by a relay of packets, ${congestion}`,
    host,
    command: (end, program) => namespaces.command(end === "listens" ? "left" : "right", program),
    reach: async (port) => ({ host, port }),
    queuedBytes: () => namespaces.queueFrom("left").backlogBytes,
    droppedPackets: () => namespaces.queueFrom("left").droppedPackets,
    remove: namespaces.remove,
  };
}

function throughProxy(shape: Shape): ShapedLink {
  let proxy: Program | undefined;
  return {
    isReal: false,
    about: `${textOf(shape)}, BY A THROTTLING PROXY ON LOOPBACK`,
    host: "127.0.0.1",
    command: (_end, program) => program,
    async reach(port) {
      proxy?.stop();
      proxy = await startProgram("./throttling_proxy.ts", [JSON.stringify(shape), String(port)]);
      return { host: "127.0.0.1", port: Number(proxy.said) };
    },
    droppedPackets: () => undefined,
    remove: () => proxy?.stop(),
  };
}

function textOf({ bitsPerSecond, roundTripMs, queueBytes }: Shape): string {
  const queue = `${Math.round(queueBytes / 1024)} KiB`;
  return `${bitsPerSecond / 1e6} Mbit/s with ${roundTripMs} ms round trip and a queue of ${queue}`;
}
