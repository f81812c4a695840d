// A listener and what dials it, inside one process.
import type { Connect, Connection, Listener } from "../../../lib/connection.ts";
import { TransportError } from "../../../lib/errors.ts";
import { connectionPair } from "../../../lib/transports/memory.ts";

/** A place in memory that takes connections, and the way to it. */
export interface MemoryNetwork {
  readonly listener: Listener;
  readonly connect: Connect;
}

/** @param options.bufferBytes what each way of a connection holds. */
export function memoryNetwork(options: { bufferBytes?: number } = {}): MemoryNetwork {
  let controller!: ReadableStreamDefaultController<Connection>;
  const connections = new ReadableStream<Connection>({
    start(given) {
      controller = given;
    },
  });
  let isClosed = false;
  return {
    listener: {
      url: "memory:listener",
      connections,
      async close() {
        if (!isClosed) controller.close();
        isClosed = true;
      },
    },
    async connect(signal) {
      signal?.throwIfAborted();
      if (isClosed) throw new TransportError("Nothing listens there");
      const [near, far] = connectionPair(options);
      controller.enqueue(far);
      return near;
    },
  };
}
