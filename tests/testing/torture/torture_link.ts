// The way from the dialling end to the accepting end of a run, with its faults.
import type { Clock } from "../../../lib/clock.ts";
import type { Connect, Connection, Listener } from "../../../lib/connection.ts";
import type { Fault } from "../../../lib/testing/fault.ts";
import { createFaultProxy } from "../../../lib/testing/fault_proxy.ts";
import { faultyConnect } from "../../../lib/testing/faulty_connect.ts";
import type { FaultyConnection } from "../../../lib/testing/faulty_connection.ts";
import type { TcpAdapter } from "../../transports/adapter.ts";
import { memoryNetwork } from "../support/memory_network.ts";
import type { Scenario } from "./scenario.ts";

/** Both ends of what a run moves tensors over. */
export interface TortureLink {
  readonly connect: Connect;
  readonly listener: Listener;
  /** The faults that have happened. */
  happened(): Fault[];
  close(): Promise<void>;
}

/** Faults happen in a proxy over TCP, or in the dialled connection in memory. */
export async function openLink(
  { transport, faults, bufferBytes }: Scenario,
  clock: Clock,
  tcp: TcpAdapter,
): Promise<TortureLink> {
  if (transport === "memory") {
    const { listener, connect } = memoryNetwork({ bufferBytes });
    const dialled: FaultyConnection[] = [];
    return {
      listener,
      connect: faultyConnect(connect, faults, {
        clock,
        onConnection: (connection) => dialled.push(connection),
      }),
      happened: () => dialled.flatMap(({ sent, received }) => happenedOn(sent, received)),
      close: () => listener.close(),
    };
  }
  const listener = await tcp.listen("tcp://127.0.0.1:0");
  const proxy = createFaultProxy({
    listener: await tcp.listen("tcp://127.0.0.1:0"),
    connect: (signal) => tcp.connect(listener.url, { signal }),
    plan: faults,
    clock,
  });
  return {
    listener,
    connect: (signal) => tcp.connect(proxy.url, { signal }),
    happened: () => proxy.reports.flatMap(({ up, down }) => happenedOn(up, down)),
    async close() {
      await proxy.close();
      await listener.close();
    },
  };
}

const happenedOn = (...ways: readonly { readonly happened: readonly Fault[] }[]): Fault[] =>
  ways.flatMap(({ happened }) => happened);

/** Keeps count of connections that are not over. */
export class OpenConnections {
  readonly #open = new Set<Connection>();
  total = 0;

  add(connection: Connection): Connection {
    this.total++;
    this.#open.add(connection);
    const over = () => void this.#open.delete(connection);
    connection.closed.then(over, over);
    return connection;
  }

  get size(): number {
    return this.#open.size;
  }
}
