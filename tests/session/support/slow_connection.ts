import type { Connection } from "../../../lib/connection.ts";
import { turn } from "../../transports/conformance.ts";

/** The connection, with a turn of the event loop for each write: slower than any source. */
export function slowConnection(connection: Connection): Connection {
  const writer = connection.writable.getWriter();
  const writable = new WritableStream<Uint8Array>(
    {
      write: async (bytes) => {
        await turn();
        await writer.write(bytes);
      },
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    },
    { highWaterMark: 1 },
  );
  const failed = (reason: unknown) => writable.abort(reason).catch(() => {});
  connection.closed.catch(failed);
  return {
    remote: connection.remote,
    readable: connection.readable,
    writable,
    closed: connection.closed,
    close: (reason) => connection.close(reason),
  };
}
