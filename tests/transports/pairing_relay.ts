import { createServer, type Socket } from "node:net";

/** Bytes of the key that a connection says first. */
const KEY_BYTES = 8;

/** A relay that listens. */
export interface PairingRelay {
  readonly port: number;
  close(): void;
}

/**
 * Joins any two TCP connections that say the same key of 8 bytes first, so that whoever can only
 * dial has both ends of one. Ends, resets and backpressure pass through.
 */
export async function startPairingRelay(): Promise<PairingRelay> {
  const waiting = new Map<string, Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => {});
    socket.once("readable", function look() {
      const key: Buffer | null = socket.read(KEY_BYTES);
      if (key === null) {
        if (!socket.readableEnded) socket.once("readable", look);
        return;
      }
      const name = key.toString("hex");
      const other = waiting.get(name);
      waiting.delete(name);
      if (other) join(other, socket);
      else waiting.set(name, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    port,
    close: () => {
      for (const socket of waiting.values()) socket.destroy();
      server.close();
    },
  };
}

function join(...pair: [Socket, Socket]): void {
  for (const [from, to] of [pair, pair.toReversed()] as [Socket, Socket][]) {
    from.pipe(to);
    from.once("close", () => {
      // One that ended in order has said so by its end.
      if (from.errored || !from.readableEnded) to.resetAndDestroy();
    });
  }
}
