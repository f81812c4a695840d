// Two network namespaces and a link between them, made by commands of iproute2 (Linux, as root).
import { spawnSync } from "node:child_process";
import process from "node:process";
import { type Program, startProgram } from "./program.ts";
import type { Shape } from "./shape.ts";

const VXLAN_PORT = 4789;
/** Outer Ethernet, IP, UDP and VXLAN headers. */
const TUNNEL_BYTES = 50;
/** Packets are large where there are many, or the relay would not keep up. */
const LARGE_MTU_FROM_BITS_PER_SECOND = 200e6;
const NAME = "headrace-bench";
const PLACES = ["left", "right", "router", "relay"] as const;
const SIDES = ["left", "right"] as const;
const ENDINGS = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const;

type Side = (typeof SIDES)[number];

/** Both ends' namespaces with a link of some shape between them. */
export interface Namespaces {
  readonly leftAddress: string;
  /** The command that runs a program at one of the ends. */
  command(side: Side, program: readonly string[]): readonly string[];
  /** What the narrow point dropped so far of what a side sent, and what waits there now. */
  queueFrom(side: Side): { readonly droppedPackets: number; readonly backlogBytes: number };
  remove(): void;
}

/**
 * Makes them, or throws with what the machine would not do. They are gone when this process ends in
 * any way but SIGKILL; what one that was killed left is removed by the next.
 *
 * The ends speak TCP with each other through a VXLAN tunnel. Its datagrams go from an end through a
 * router, where the kernel's token bucket is the narrow point of the link, to a relay that makes it
 * long, and through the router to the other end. So the ends' kernels see packets, losses and round
 * trips of a real link.
 */
export async function makeNamespaces(shape: Shape): Promise<Namespaces> {
  sweep();
  const own = `${NAME}-${process.pid}`;
  const mtu = shape.bitsPerSecond >= LARGE_MTU_FROM_BITS_PER_SECOND ? 8950 : 1450;
  let relay: Program | undefined;
  const remove = () => {
    relay?.stop();
    for (const place of PLACES) quietly(`ip netns del ${own}-${place}`);
  };
  process.once("exit", remove);
  for (const [signal, code] of ENDINGS) process.once(signal, () => process.exit(code));
  try {
    for (const place of PLACES) run(`ip netns add ${own}-${place}`);
    run(`ip netns exec ${own}-router sysctl -qw net.ipv4.ip_forward=1`);
    for (const side of SIDES) {
      addWires(own, side, mtu + TUNNEL_BYTES);
      addNarrowPoint(own, side, mtu + TUNNEL_BYTES, shape);
      addTunnel(own, side, mtu, shape);
    }
    const hops = SIDES.map((side) => `${wiresOf(side).relay}:${wiresOf(side).end}`);
    const args = [String(shape.roundTripMs / 2), String(VXLAN_PORT), ...hops];
    relay = await startProgram("./relay.ts", args, ["ip", "netns", "exec", `${own}-relay`]);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    leftAddress: tunnelAddressOf("left"),
    command: (side, program) => ["ip", "netns", "exec", `${own}-${side}`, ...program],
    queueFrom(side) {
      const shown = run(`tc -n ${own}-router -s -j qdisc show dev from-${side}`);
      const [queue] = JSON.parse(shown) as [{ drops: number; backlog: number }];
      return { droppedPackets: queue.drops, backlogBytes: queue.backlog };
    },
    remove,
  };
}

/** Wires from an end to the router and from there to the relay, and the ways along them. */
function addWires(own: string, side: Side, mtu: number): void {
  const { end, routerToEnd, routerToRelay, relay } = wiresOf(side);
  run(
    `ip link add out netns ${own}-${side} mtu ${mtu} type veth ` +
      `peer name to-${side} netns ${own}-router mtu ${mtu}`,
  );
  run(
    `ip link add from-${side} netns ${own}-router mtu ${mtu} type veth ` +
      `peer name ${side} netns ${own}-relay mtu ${mtu}`,
  );
  addAddress(`${own}-${side}`, "out", end);
  addAddress(`${own}-router`, `to-${side}`, routerToEnd);
  addAddress(`${own}-router`, `from-${side}`, routerToRelay);
  addAddress(`${own}-relay`, side, relay);
  run(`ip -n ${own}-${side} route add default via ${routerToEnd}`);
  run(`ip -n ${own}-relay route add ${end} via ${routerToRelay}`);
}

function addNarrowPoint(own: string, side: Side, mtu: number, shape: Shape): void {
  const { bitsPerSecond, queueBytes } = shape;
  const burstBytes = Math.max(4 * mtu, Math.ceil(bitsPerSecond / 8 / 1000));
  run(
    `tc -n ${own}-router qdisc add dev from-${side} root ` +
      `tbf rate ${bitsPerSecond}bit burst ${burstBytes}b limit ${queueBytes}b`,
  );
}

function addTunnel(own: string, side: Side, mtu: number, { socketBytes }: Shape): void {
  const { end, relay } = wiresOf(side);
  const place = `${own}-${side}`;
  run(
    `ip -n ${place} link add tunnel type vxlan id 1 ` +
      `local ${end} remote ${relay} dstport ${VXLAN_PORT} nolearning dev out`,
  );
  // One packet a datagram: the relay could not take apart what the kernel has put together.
  run(`ip -n ${place} link set tunnel mtu ${mtu} gso_max_segs 1`);
  addAddress(place, "tunnel", tunnelAddressOf(side));
  run(`ip -n ${place} link set lo up`);
  // What one connection learnt about the link must not help the next.
  run(`ip netns exec ${place} sysctl -qw net.ipv4.tcp_no_metrics_save=1`);
  if (socketBytes === undefined) return;
  for (const name of ["tcp_wmem", "tcp_rmem"]) {
    const bounds = `net.ipv4.${name}=4096 131072 ${socketBytes}`;
    run(`ip netns exec ${place} sysctl -qw`, bounds);
  }
}

function addAddress(place: string, device: string, address: string): void {
  run(`ip -n ${place} addr add ${address}/30 dev ${device}`);
  run(`ip -n ${place} link set ${device} up`);
}

/** 198.18.0.0/15 is set aside for benches of networks. */
function wiresOf(side: Side) {
  const [near, far] = side === "left" ? [0, 1] : [2, 3];
  return {
    end: `198.18.${near}.1`,
    routerToEnd: `198.18.${near}.2`,
    routerToRelay: `198.18.${far}.1`,
    relay: `198.18.${far}.2`,
  };
}

function tunnelAddressOf(side: Side): string {
  return side === "left" ? "198.19.0.1" : "198.19.0.2";
}

/** Removes what processes left that are no more. */
function sweep(): void {
  const names = run("ip netns list")
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "");
  for (const name of names) {
    const pid = new RegExp(`^${NAME}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) quietly(`ip netns del ${name}`);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** @param last An argument that has spaces in it. */
function run(command: string, ...last: readonly string[]): string {
  const [program = "", ...args] = command.split(" ");
  const { status, stdout, stderr, error } = spawnSync(program, [...args, ...last], {
    encoding: "utf8",
  });
  if (status === 0) return stdout;
  throw new Error(`${command}: ${error?.message ?? stderr.trim()}`);
}

function quietly(command: string): void {
  const [program = "", ...args] = command.split(" ");
  spawnSync(program, args, { stdio: "ignore" });
}
