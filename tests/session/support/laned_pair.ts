// Connections of several lanes in memory, some of them slower than others.
import type { Connection, Duplex } from "../../../lib/connection.ts";
import { connectionPair } from "../../../lib/transports/memory.ts";
import { slowConnection } from "./slow_connection.ts";

/** Two connected ends whose dialling side opens further lanes; every other lane is a slow one. */
export function lanedPair(): {
  near: Connection;
  far: Connection;
  /** How many further lanes there are by now. */
  count: () => number;
  cutLane: (n: number) => void;
} {
  const [near, far] = connectionPair();
  const opened: [Connection, Connection][] = [];
  let arrive: ReadableStreamDefaultController<Duplex>;
  const incoming = new ReadableStream<Duplex>({
    start: (controller) => {
      arrive = controller;
    },
  });
  const none = new ReadableStream<Duplex>();
  const open = async (): Promise<Duplex> => {
    const isSlow = opened.length % 2 === 0;
    const [one, other] = connectionPair();
    opened.push([one, other]);
    arrive.enqueue(isSlow ? slowConnection(other) : other);
    return isSlow ? slowConnection(one) : one;
  };
  const withLanes = (connection: Connection, lanes: Connection["lanes"]): Connection => ({
    remote: connection.remote,
    readable: connection.readable,
    writable: connection.writable,
    closed: connection.closed,
    close: (reason) => {
      connection.close(reason);
      for (const [one, other] of opened) {
        one.close(reason);
        other.close(reason);
      }
    },
    ...(lanes && { lanes }),
  });
  return {
    near: withLanes(near, { open, incoming: none }),
    far: withLanes(far, { open: () => Promise.reject(new Error("not here")), incoming }),
    count: () => opened.length,
    cutLane: (n) => opened[n]?.[0].close(new Error("cut")),
  };
}
