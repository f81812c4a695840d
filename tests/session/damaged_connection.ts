// A link that turns bits of chunks, and does nothing else.
import type { Connection } from "../../lib/connection.ts";
import { FrameParser } from "../../lib/wire/frame_parser.ts";

/** The connection, with one bit turned in each of these bytes of what chunks carry, in order of arrival. */
export function damagedConnection(connection: Connection, places: readonly number[]): Connection {
  let arrivedBytes = 0;
  const parser = new FrameParser({
    frame: () => {},
    chunk: () => {},
    chunkData: (bytes) => {
      for (const place of places) {
        const at = place - arrivedBytes;
        if (at >= 0 && at < bytes.byteLength) bytes[at] = (bytes[at] as number) ^ 1;
      }
      arrivedBytes += bytes.byteLength;
    },
  });
  const bend = new TransformStream<Uint8Array, Uint8Array>({
    transform(bytes, controller) {
      const own = bytes.slice();
      parser.push(own);
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
