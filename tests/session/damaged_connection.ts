// A link that turns bits, and does nothing else.
import type { Connection } from "../../lib/connection.ts";

/** The connection, with one bit turned in each of the bytes that arrive at these places. */
export function damagedConnection(connection: Connection, places: readonly number[]): Connection {
  let arrivedBytes = 0;
  const bend = new TransformStream<Uint8Array, Uint8Array>({
    transform(bytes, controller) {
      const own = bytes.slice();
      for (const place of places) {
        const at = place - arrivedBytes;
        if (at >= 0 && at < own.byteLength) own[at] = (own[at] as number) ^ 1;
      }
      arrivedBytes += own.byteLength;
      controller.enqueue(own);
    },
  });
  return {
    remote: connection.remote,
    readable: connection.readable.pipeThrough(bend),
    writable: connection.writable,
    closed: connection.closed,
    close: (error) => connection.close(error),
  };
}
