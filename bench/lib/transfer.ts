// The two ends of one bulk transfer from memory to a sink that discards: a bare socket's and headrace's.
import { createHash } from "node:crypto";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import process from "node:process";
import type { Connection } from "../../lib/connection.ts";
import { ByteSource, TensorPeer, type TensorSink, type TensorSource } from "../../mod.ts";
import { type Content, contentOf } from "./content.ts";
import { sha256Hex } from "./sha256_hex.ts";
import { type Transport, transportOf } from "./transports.ts";
import { ownPart, type Part, type Report, Stopwatch, say } from "./two_processes.ts";

/** How the bytes travel. */
export interface Way {
  /** `raw` is `node:net`: `data` events at one end, awaited writes at the other. */
  readonly over: "raw" | "headrace";
  /** What headrace travels over; TCP by default. */
  readonly transport?: Transport;
  /** Who begins; the receiver by default. */
  readonly begins?: "send" | "receive";
  /** SHA-256 at both ends. */
  readonly digest?: boolean;
  /** Whether headrace may compress; it does not by default. */
  readonly compress?: boolean;
  readonly content: Content;
  /** The unit of writes and of headrace's chunks; default 1 MiB. */
  readonly chunkBytes?: number;
}

const MiB = 1024 * 1024;
const ADDRESS = { model: "bench", partition: "default", tensor: "w" };

/** The side that {@linkcode Way} says listens. */
export function listenerOf(way: Way): Part["role"] {
  return way.begins === "send" ? "receive" : "send";
}

/** Plays the part for which this process was started, or runs `main` in the one that starts the others. */
export async function mainOrPart(
  main: () => Promise<void>,
  ways: Readonly<Record<string, Way>>,
): Promise<void> {
  const part = ownPart();
  if (part === undefined) return await main();
  const way = ways[part.variant];
  if (way !== undefined) await playTransfer(part, way);
  process.exit(0);
}

/** Plays one end to its end and reports what it cost. */
export async function playTransfer(part: Part, way: Way): Promise<void> {
  const plays = {
    raw: { send: sendRaw, receive: receiveRaw },
    headrace: { send: sendTensor, receive: receiveTensor },
  };
  say(JSON.stringify(await plays[way.over][part.role](part, way)));
}

async function sendRaw(part: Part, way: Way): Promise<Report> {
  const content = contentOf(way.content, part.bytes);
  const chunkBytes = way.chunkBytes ?? MiB;
  const hash = way.digest ? createHash("sha256") : undefined;
  const socket = await rawSocket(part);
  const stopwatch = new Stopwatch();
  for (let at = 0; at < content.byteLength; at += chunkBytes) {
    const piece = content.subarray(at, at + chunkBytes);
    hash?.update(piece);
    await new Promise((resolve) => socket.write(piece, resolve));
  }
  hash?.digest();
  await new Promise<void>((resolve) => socket.end(resolve));
  return stopwatch.report(part.bytes);
}

async function receiveRaw(part: Part, way: Way): Promise<Report> {
  const hash = way.digest || part.digest ? createHash("sha256") : undefined;
  const socket = await rawSocket(part);
  let stopwatch: Stopwatch | undefined;
  let receivedBytes = 0;
  socket.on("data", (bytes: Uint8Array) => {
    stopwatch ??= new Stopwatch();
    hash?.update(bytes);
    receivedBytes += bytes.byteLength;
    stopwatch.passed(receivedBytes, part.bytes);
  });
  await new Promise((resolve, reject) => socket.once("end", resolve).once("error", reject));
  const digest = hash?.digest("hex");
  stopwatch ??= new Stopwatch();
  return stopwatch.report(receivedBytes, digest);
}

/** As {@linkcode joinOther}, a bare `node:net` socket. */
export async function rawSocket({ host = "127.0.0.1", port }: Part): Promise<Socket> {
  if (port !== undefined) return connectSocket({ host, port });
  return await new Promise((resolve) => {
    const server = createServer((socket) => {
      server.close();
      resolve(socket);
    });
    server.listen(0, host, () => {
      const address = server.address();
      say(String(typeof address === "object" ? address?.port : address));
    });
  });
}

/** Dials, or says where it listens and takes the first that comes. */
export async function joinOther(
  { host = "127.0.0.1", port }: Part,
  transport: Transport = "tcp",
): Promise<Connection> {
  const { urlOf, connect, listen } = await transportOf(transport);
  if (port !== undefined) return await connect(urlOf(host, port));
  const listener = await listen(urlOf(host, 0));
  say(String(new URL(listener.url).port));
  const { value } = await listener.connections.getReader().read();
  await listener.close();
  if (value === undefined) throw new Error("Nobody came.");
  return value;
}

function peerOptions(part: Part, way: Way) {
  return {
    accepted: part.port === undefined,
    ...(way.chunkBytes !== undefined && { chunkBytes: way.chunkBytes }),
    ...(!way.compress && { codecs: [] }),
  };
}

async function sendTensor(part: Part, way: Way): Promise<Report> {
  const content = contentOf(way.content, part.bytes);
  const source = new ByteSource(content, { dtype: "U8", shape: [part.bytes] });
  let stopwatch: Stopwatch | undefined;
  const open = async (): Promise<TensorSource> => {
    stopwatch = new Stopwatch();
    return source;
  };
  const store = { async *list() {}, open };
  const peer = new TensorPeer(await joinOther(part, way.transport), {
    ...peerOptions(part, way),
    store,
  });
  if (way.begins === "send") {
    await peer.remoteHello();
    const digest = way.digest ? "sha256" : "none";
    await open();
    await peer.streamTensor(ADDRESS, source, { digest }).done;
    const report = stopwatch?.report(part.bytes);
    await peer.close();
    return report as Report;
  }
  await peer.closed;
  return stopwatch?.report(part.bytes) as Report;
}

/** From the request, or the offer, to the receipt. */
async function receiveTensor(part: Part, way: Way): Promise<Report> {
  let stopwatch: Stopwatch | undefined;
  const sink = new DiscardingSink(part.digest ? part.bytes : 0, (receivedBytes) =>
    stopwatch?.passed(receivedBytes, part.bytes),
  );
  let report: Report | undefined;
  const accept = async () => {
    stopwatch = new Stopwatch();
    return sink;
  };
  const peer: TensorPeer = new TensorPeer(await joinOther(part, way.transport), {
    ...peerOptions(part, way),
    sinks: { accept },
    onTransfer: (transfer) =>
      void transfer.done.then(() => {
        report = stopwatch?.report(sink.receivedBytes);
      }),
  });
  if (way.begins === "send") {
    await peer.closed;
  } else {
    await peer.remoteHello();
    stopwatch = new Stopwatch();
    const digest = way.digest ? "sha256" : "none";
    await peer.requestTensor(ADDRESS, { into: () => sink, digest }).done;
    report = stopwatch.report(sink.receivedBytes);
    await peer.close();
  }
  return { ...(report as Report), ...(part.digest && { digest: sha256Hex(sink.kept) }) };
}

/** Counts verified leaves and drops them; keeps them only to be compared, untimed. */
export class DiscardingSink implements TensorSink {
  readonly pace = "memory";
  receivedBytes = 0;
  /** The tensor's bytes, where they are kept. */
  readonly kept: Uint8Array;

  readonly #onWritten: (receivedBytes: number) => void;

  /** @param keptBytes The whole tensor's length where its bytes are to be kept. */
  constructor(keptBytes: number, onWritten: (receivedBytes: number) => void = () => {}) {
    this.kept = new Uint8Array(keptBytes);
    this.#onWritten = onWritten;
  }

  async held(): Promise<undefined> {}
  async begin(): Promise<void> {}
  async commit(): Promise<void> {}
  async release(): Promise<void> {}

  async write({ index }: { index: number }, bytes: Uint8Array): Promise<void> {
    this.receivedBytes += bytes.byteLength;
    if (this.kept.byteLength > 0) this.kept.set(bytes, index * MiB);
    this.#onWritten(this.receivedBytes);
  }
}
