// A program of its own: whatever a transport leaves open would keep it running.
import process from "node:process";
import { tcpAdapterOf } from "./adapter.ts";
import { rejection } from "./conformance.ts";

const { connect, listen } = tcpAdapterOf(process.argv[2] ?? "");
const listener = await listen("tcp://127.0.0.1:0");
const reader = listener.connections.getReader();
const [near, { value: far }] = await Promise.all([connect(listener.url), reader.read()]);
if (far === undefined) throw new Error("The listener ended.");

// A dial that fails, one that is given up, and connections that end in each way.
await rejection(connect("tcp://nope.invalid:1"));
const silent = listener.url.replace("tcp:", "tls:");
await rejection(connect(silent, { connectTimeoutMs: 20 }));
for (const reason of [undefined, new Error("reset")]) {
  const [dialled, taken] = await Promise.all([connect(listener.url), reader.read()]);
  dialled.close(reason);
  taken.value?.close(reason);
}

// Ones that are reset while their end is on its way, which may have come any distance.
for (let turns = 0; turns < 10; turns++) {
  const [dialled, taken] = await Promise.all([connect(listener.url), reader.read()]);
  dialled.writable.close().catch(() => {});
  for (let n = 0; n < turns; n++) await Promise.resolve();
  dialled.close(new Error("reset"));
  taken.value?.close();
}

let receivedBytes = 0;
const receiving = far.receive?.((view) => {
  receivedBytes += view.byteLength;
});
const writer = near.writable.getWriter();
writer.write(new Uint8Array(1024 * 1024));
await Promise.all([writer.close(), receiving]);
await far.writable.close();
for await (const _ of near.readable) throw new Error("Nothing was sent back.");
await Promise.all([near.closed, far.closed]);
await listener.close();
process.stdout.write(`exchanged ${receivedBytes} bytes\n`);
