// Which way of reading a TCP socket is the fastest that is correct?
// The reader copies each byte once into a tensor's buffer, as the session does.
//
//   node bench/tcp_reading.ts [--rounds=15] [--bytes=1073741824] [--only=NAME,NAME]
import { createHash } from "node:crypto";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import process from "node:process";
import type { Connection } from "../lib/connection.ts";
import { LinkConnection } from "../lib/transports/link_connection.ts";
import { NodeReads, NodeSocketLink } from "../lib/transports/node_socket.ts";
import { tcpAdapterOf } from "../tests/transports/adapter.ts";
import { compare, flag, runtimeName } from "./lib/compare.ts";
import { ownPart, type Part, runTwo, Stopwatch, say } from "./lib/two_processes.ts";

const MiB = 1024 * 1024;
const HEADER_BYTES = 40;
const runtime = runtimeName().replace(/\d+$/, "");
const adapter = tcpAdapterOf(runtime);

/** Takes views one after the other and copies them into one leaf, over and over. */
type Consume = (view: Uint8Array) => void;
type Receive = (socketOrPort: Part, consume: Consume) => Promise<void>;

const readers: Record<string, { listens: Part["role"]; receive: Receive; sends?: "headrace" }> = {
  "data events, no copy": { listens: "send", receive: rawData },
  "data events": { listens: "send", receive: rawData },
  "onread, one buffer": { listens: "send", receive: rawOnread },
  "onread, fresh buffers, readable": { listens: "send", receive: viaLink(true, "readable") },
  "onread, BYOB reader": { listens: "send", receive: onreadByob },
  "data events, readable": { listens: "send", receive: viaLink(false, "readable") },
  "Bun.connect": { listens: "send", receive: bunNative },
  "headrace readable": { listens: "send", receive: dialled("readable") },
  "headrace receive": { listens: "send", receive: dialled("receive") },
  "headrace readable, accepted": { listens: "receive", receive: accepted("readable") },
  "headrace receive, accepted": { listens: "receive", receive: accepted("receive") },
  "headrace both ends": { listens: "send", receive: dialled("receive"), sends: "headrace" },
};

async function rawData({ port = 0 }: Part, consume: Consume): Promise<void> {
  const socket = connectSocket({ host: "127.0.0.1", port });
  socket.on("data", consume);
  await ended(socket);
}

async function rawOnread({ port = 0 }: Part, consume: Consume): Promise<void> {
  const callback = (bytesRead: number, buffer: Uint8Array) => {
    consume(buffer.subarray(0, bytesRead));
    return true;
  };
  const onread = { buffer: new Uint8Array(64 * 1024), callback };
  const socket = connectSocket({ host: "127.0.0.1", port, onread });
  socket.resume();
  await ended(socket);
}

/** Of the `Bun` global, what is used here. */
interface BunNet {
  connect(options: {
    hostname: string;
    port: number;
    socket: { data(socket: unknown, bytes: Uint8Array): void; close(): void };
  }): Promise<unknown>;
}

async function bunNative({ port = 0 }: Part, consume: Consume): Promise<void> {
  const { Bun } = globalThis as unknown as { Bun: BunNet };
  await new Promise<void>((resolve) => {
    const socket = { data: (_: unknown, bytes: Uint8Array) => consume(bytes), close: resolve };
    Bun.connect({ hostname: "127.0.0.1", port, socket });
  });
}

/** A byte stream can fill its reader's own buffer only by a copy: libuv reads before it is asked. */
async function onreadByob({ port = 0 }: Part, consume: Consume): Promise<void> {
  const reads = new NodeReads(64 * 1024);
  reads.lend = true;
  const socket = connectSocket({ host: "127.0.0.1", port, onread: reads.onread });
  socket.pause();
  const source: UnderlyingByteSource = {
    type: "bytes",
    start(controller) {
      reads.onBytes = (bytes) => {
        const into = controller.byobRequest?.view;
        if (!into || into.byteLength < bytes.byteLength) throw new Error("no room to read into");
        new Uint8Array(into.buffer, into.byteOffset).set(bytes);
        controller.byobRequest?.respond(bytes.byteLength);
        return false;
      };
      socket.once("end", () => {
        controller.close();
        controller.byobRequest?.respond(0);
      });
    },
    pull() {
      socket.resume();
    },
  };
  const reader = new ReadableStream(source).getReader({ mode: "byob" });
  let memory = new Uint8Array(64 * 1024);
  for (;;) {
    const { value, done } = await reader.read(memory);
    if (done || value === undefined) return;
    consume(value);
    memory = new Uint8Array(value.buffer);
  }
}

function viaLink(onread: boolean, way: "readable" | "receive"): Receive {
  return async ({ port = 0 }, consume) => {
    const reads = onread ? new NodeReads(64 * 1024) : undefined;
    const address = { host: "127.0.0.1", port, allowHalfOpen: true };
    const socket = connectSocket(reads ? { ...address, onread: reads.onread } : address);
    socket.pause();
    await new Promise((resolve) => socket.once("connect", resolve));
    await drain(
      new LinkConnection(new NodeSocketLink(socket, "bench:", true, reads)),
      way,
      consume,
    );
  };
}

function dialled(way: "readable" | "receive"): Receive {
  return async ({ port }, consume) => {
    await drain(await adapter.connect(`tcp://127.0.0.1:${port}`), way, consume);
  };
}

function accepted(way: "readable" | "receive"): Receive {
  return async (_part, consume) => {
    const listener = await adapter.listen("tcp://127.0.0.1:0");
    say(String(new URL(listener.url).port));
    const { value } = await listener.connections.getReader().read();
    await listener.close();
    if (value !== undefined) await drain(value, way, consume);
  };
}

async function drain(
  connection: Connection,
  way: "readable" | "receive",
  consume: Consume,
): Promise<void> {
  if (way === "receive") await connection.receive?.(consume);
  else for await (const view of connection.readable) consume(view);
  connection.close();
}

async function playReceiver(part: Part): Promise<void> {
  const leaf = new Uint8Array(MiB);
  const digest = part.digest ? createHash("sha256") : undefined;
  const copies = part.variant !== "data events, no copy";
  let stopwatch: Stopwatch | undefined;
  let receivedBytes = 0;
  await readers[part.variant]?.receive(part, (view) => {
    stopwatch ??= new Stopwatch();
    digest?.update(view);
    for (let taken = 0; copies && taken < view.byteLength; ) {
      const at = (receivedBytes + taken) % MiB;
      const piece = view.subarray(taken, taken + MiB - at);
      leaf.set(piece, at);
      taken += piece.byteLength;
    }
    receivedBytes += view.byteLength;
  });
  say(JSON.stringify(stopwatch?.report(receivedBytes, digest?.digest("hex"))));
}

/** The floor's sender for all but one variant, so that only reading differs. */
async function playSender(part: Part): Promise<void> {
  const leaf = Uint8Array.from({ length: MiB }, (_, index) => (index * 31) ^ (index >>> 8));
  if (readers[part.variant]?.sends === "headrace") return await sendByHeadrace(leaf, part.bytes);
  const socket = await rawSocket(part);
  const stopwatch = new Stopwatch();
  for (let sentBytes = 0; sentBytes < part.bytes; sentBytes += MiB) {
    await new Promise((resolve) => socket.write(leaf, resolve));
  }
  await new Promise<void>((resolve) => socket.end(resolve));
  say(JSON.stringify(stopwatch.report(part.bytes)));
}

/** The session's pattern: a small header and a large payload, of the same bytes in all. */
async function sendByHeadrace(leaf: Uint8Array, bytes: number): Promise<void> {
  const listener = await adapter.listen("tcp://127.0.0.1:0");
  say(String(new URL(listener.url).port));
  const { value: connection } = await listener.connections.getReader().read();
  await listener.close();
  if (connection === undefined) throw new Error("Nobody came.");
  const writer = connection.writable.getWriter();
  const stopwatch = new Stopwatch();
  for (let sentBytes = 0; sentBytes < bytes; sentBytes += MiB) {
    writer.write(leaf.subarray(0, HEADER_BYTES));
    await writer.write(leaf.subarray(HEADER_BYTES));
  }
  await writer.close();
  say(JSON.stringify(stopwatch.report(bytes)));
  connection.close();
}

async function rawSocket({ port }: Part): Promise<Socket> {
  if (port !== undefined) return connectSocket({ host: "127.0.0.1", port });
  return await new Promise((resolve) => {
    const server = createServer((socket) => {
      server.close();
      socket.on("error", () => {});
      socket.resume();
      resolve(socket);
    });
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      say(String(typeof address === "object" ? address?.port : address));
    });
  });
}

function ended(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("end", resolve);
    socket.once("error", reject);
  });
}

async function main(): Promise<void> {
  const bytes = Number(flag("bytes", String(1024 * MiB)));
  const only = flag("only", "").split(",").filter(Boolean);
  const floor = "data events, no copy";
  const names = Object.keys(readers).filter((name) => {
    // Deno's node:net has no onread.
    if (name.startsWith("onread")) return runtime !== "deno";
    return name === "Bun.connect" ? runtime === "bun" : true;
  });
  const variants = names
    .filter((name) => only.length === 0 || name === floor || only.includes(name))
    .map((name) => {
      const listens = readers[name]?.listens ?? "send";
      const run = (size: number, digest: boolean) =>
        runTwo(import.meta.url, { variant: name, bytes: size, digest }, listens);
      return {
        name,
        run: () => run(bytes, false),
        verify: async () => (await run(16 * MiB, true)).digest ?? "",
      };
    });
  await compare({
    name: "tcp_reading",
    rounds: Number(flag("rounds", "15")),
    variants,
    floor,
    about:
      `${bytes / MiB} MiB in 1 MiB writes, two processes on loopback. Floor: raw node:net data events ` +
      "that drop the bytes; every other variant copies them once into a 1 MiB buffer.",
  });
}

const part = ownPart();
if (part === undefined) await main();
else {
  await (part.role === "send" ? playSender(part) : playReceiver(part));
  process.exit(0);
}
