// Joins any two connections that say the same key of 8 bytes first, over WebSocket and WebTransport: whoever can
// only dial has both ends of one. Prints its URLs; ends with its standard input.
//   deno run -A --unstable-net connection_relay.ts ORIGIN
import process from "node:process";
import type { Connection, Listener } from "../../lib/connection.ts";
import { listen as listenWebSocket } from "../../lib/transports/websocket_deno.ts";
import { listen as listenWebTransport } from "../../lib/transports/webtransport_deno.ts";
import { makeCertificate } from "./certificate.ts";

const KEY_BYTES = 8;
const waiting = new Map<string, Half>();

/** A connection whose key was read, and what came behind the key. */
interface Half {
  readonly connection: Connection;
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly rest: Uint8Array;
}

async function keyed(connection: Connection): Promise<readonly [key: string, half: Half]> {
  const reader = connection.readable.getReader();
  let bytes = new Uint8Array();
  while (bytes.byteLength < KEY_BYTES) {
    const { done, value } = await reader.read();
    if (done) throw new Error("It ended before its key");
    const longer = new Uint8Array(bytes.byteLength + value.byteLength);
    longer.set(bytes);
    longer.set(value, bytes.byteLength);
    bytes = longer;
  }
  const rest = bytes.subarray(KEY_BYTES);
  return [bytes.subarray(0, KEY_BYTES).toString(), { connection, reader, rest }];
}

/** One way, to its end or its failure. */
async function pump({ connection, reader, rest }: Half, to: Connection): Promise<void> {
  const writer = to.writable.getWriter();
  writer.closed.catch(() => {});
  try {
    if (rest.byteLength > 0) await writer.write(rest);
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      await writer.write(next.value);
    }
    await writer.close();
  } catch (error) {
    connection.close(error);
    to.close(error);
  }
}

async function take(connection: Connection): Promise<void> {
  const [key, half] = await keyed(connection);
  const other = waiting.get(key);
  waiting.delete(key);
  if (!other) {
    waiting.set(key, half);
    return;
  }
  // A failure is to be seen at the other end also while nothing is read or written.
  for (const [one, two] of [
    [half, other],
    [other, half],
  ] as const) {
    // One whose bytes have ended is gone in order: its other end may still be read.
    let hasEnded = false;
    const ended = () => {
      hasEnded = true;
    };
    one.reader.closed.then(ended, () => {});
    one.connection.closed.catch((error) => {
      if (!hasEnded) two.connection.close(error);
    });
    void pump(one, two.connection);
  }
}

async function serve({ connections }: Listener): Promise<void> {
  const reader = connections.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    take(next.value).catch(() => {});
  }
}

const { cert, key, sha256 } = makeCertificate();
const [origin = ""] = process.argv.slice(2);
const webSocket = await listenWebSocket("ws://127.0.0.1:0", { origins: [origin] });
const webTransport = await listenWebTransport("https://127.0.0.1:0", {
  cert,
  key,
  onError: (error) => console.error(error.message),
});
for (const listener of [webSocket, webTransport]) void serve(listener);
console.log(
  JSON.stringify({
    websocket: webSocket.url,
    webtransport: `${webTransport.url}#sha256=${sha256}`,
  }),
);
process.stdin.on("end", () => process.exit(0)).resume();
