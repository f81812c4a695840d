// A program of its own, started with few file descriptors allowed: it uses them all up, gives them
// back, and its listener must still take connections.
import process from "node:process";
import type { Connection } from "../../lib/connection.ts";
import { tcpAdapterOf } from "./adapter.ts";

const { connect, listen } = tcpAdapterOf(process.argv[2] ?? "");
const listener = await listen("tcp://127.0.0.1:0", { onError: () => {} });
const open = new Set<Connection>();
/** Every connection that is taken gets one byte. */
const taking = (async () => {
  for await (const connection of listener.connections) {
    open.add(connection);
    connection.writable
      .getWriter()
      .write(Uint8Array.of(1))
      .catch(() => {});
  }
})();

let failure: unknown;
while (failure === undefined) {
  try {
    open.add(await connect(listener.url));
  } catch (error) {
    failure = error;
  }
}
for (const connection of open) connection.close();

const dialled = await connect(listener.url);
const { value } = await dialled.readable.getReader().read();
dialled.close();
await listener.close();
await taking;
process.stdout.write(`${value?.byteLength} byte after: ${(failure as Error).message}\n`);
process.exit(0);
