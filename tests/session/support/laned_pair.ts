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
  /** The priorities that the far end gave each of its further lanes, in order. */
  priorities: readonly number[][];
} {
  const [near, far] = connectionPair();
  const opened: [Connection, Connection][] = [];
  const priorities: number[][] = [];
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
    const given: number[] = [];
    priorities.push(given);
    const prioritise = (priority: number) => void given.push(priority);
    arrive.enqueue(Object.assign(isSlow ? slowConnection(other) : other, { prioritise }));
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
    priorities,
    cutLane: (n) => opened[n]?.[0].close(new Error("cut")),
  };
}
