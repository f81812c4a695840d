// A link that turns bits, and does nothing else.
import type { Connection } from "../../lib/connection.ts";
import { FaultyConnection } from "../../lib/testing/faulty_connection.ts";

/** The connection, with one bit turned in each of the bytes that arrive at these places. */
export function damagedConnection(connection: Connection, places: readonly number[]): Connection {
  const received = places.map((atByte) => ({ kind: "flip", atByte, bits: 1 }) as const);
  return new FaultyConnection(connection, { received });
}
