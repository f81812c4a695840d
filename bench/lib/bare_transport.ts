// A bulk transfer through a bare socket, WebSocket or WebTransport stream, with what headrace computes at both ends.
import { createHash, type Hash } from "node:crypto";
import { createServer } from "node:http";
import { WebSocket as NodeWebSocket, WebSocketServer } from "ws";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import { contentOf } from "./content.ts";
import { rawSocket, type Way } from "./transfer.ts";
import { certificateHere } from "./transports.ts";
import { type Part, type Report, Stopwatch, say } from "./two_processes.ts";

const MiB = 1024 * 1024;
/** As much as headrace puts into one message or write. */
const PIECE_BYTES = 64 * 1024;
/** What may wait in a WebSocket that says so. */
const MOST_BUFFERED_BYTES = 4 * MiB;

/** One end of a bare path: pieces go in, or come out. */
interface Path {
  send(piece: Uint8Array): Promise<void>;
  receive(onBytes: (bytes: Uint8Array) => void): void;
  close(): void;
}

/** Sends the content in pieces, checksum of each MiB and SHA-256 of each leaf first. */
export async function sendBare(part: Part, way: Way): Promise<Report> {
  const content = contentOf(way.content, part.bytes);
  const path = await open(part, way);
  const done = new Promise<void>((resolve) => path.receive(() => resolve()));
  const stopwatch = new Stopwatch();
  for (let at = 0; at < content.byteLength; at += MiB) {
    const leaf = content.subarray(at, at + MiB);
    xxh32(leaf);
    createHash("sha256").update(leaf).digest();
    for (let from = 0; from < leaf.byteLength; from += PIECE_BYTES) {
      await path.send(leaf.subarray(from, from + PIECE_BYTES));
    }
  }
  await done;
  const report = stopwatch.report(part.bytes);
  path.close();
  return report;
}

/** Takes all that comes, and says so by one byte. */
export async function receiveBare(part: Part, way: Way): Promise<Report> {
  const path = await open(part, way);
  let stopwatch: Stopwatch | undefined;
  let receivedBytes = 0;
  const whole = part.digest ? createHash("sha256") : undefined;
  const leaf = new LeafCheck();
  await new Promise<void>((resolve) =>
    path.receive((bytes) => {
      stopwatch ??= new Stopwatch();
      whole?.update(bytes);
      leaf.push(bytes);
      receivedBytes += bytes.byteLength;
      if (receivedBytes >= part.bytes) resolve();
    }),
  );
  leaf.end();
  const report = (stopwatch as Stopwatch | undefined)?.report(receivedBytes, whole?.digest("hex"));
  await path.send(Uint8Array.of(1));
  await new Promise((resolve) => setTimeout(resolve, 50));
  path.close();
  return report as Report;
}

/** Gathers a leaf, as headrace does, and checks it when it is whole. */
class LeafCheck {
  readonly #leaf = new Uint8Array(MiB);
  #bytes = 0;
  #hash: Hash = createHash("sha256");

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const piece = bytes.subarray(at, at + MiB - this.#bytes);
      this.#leaf.set(piece, this.#bytes);
      this.#bytes += piece.byteLength;
      at += piece.byteLength;
      if (this.#bytes === MiB) this.end();
    }
  }

  end(): void {
    if (this.#bytes === 0) return;
    const leaf = this.#leaf.subarray(0, this.#bytes);
    xxh32(leaf);
    this.#hash.update(leaf).digest();
    this.#hash = createHash("sha256");
    this.#bytes = 0;
  }
}

function open(part: Part, way: Way): Promise<Path> {
  if (way.transport === "webtransport") return openWebTransport(part);
  if (way.transport === "tcp") return openTcp(part);
  if ("Deno" in globalThis) return openDeno(part);
  if ("Bun" in globalThis) return openBun(part);
  return openNode(part);
}

async function openTcp(part: Part): Promise<Path> {
  const socket = await rawSocket(part);
  return {
    send: (piece) => new Promise((resolve) => socket.write(piece, () => resolve())),
    receive: (onBytes) => void socket.on("data", onBytes),
    close: () => socket.destroy(),
  };
}

/** Of the sockets that browsers gave their shape. */
function w3cPath(socket: WebSocket): Path {
  socket.binaryType = "arraybuffer";
  return {
    async send(piece) {
      while (socket.bufferedAmount > MOST_BUFFERED_BYTES) {
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      socket.send(piece as Uint8Array<ArrayBuffer>);
    },
    receive: (onBytes) => {
      socket.onmessage = ({ data }) => onBytes(new Uint8Array(data as ArrayBuffer));
    },
    close: () => socket.close(),
  };
}

async function dialW3c(url: string): Promise<Path> {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return w3cPath(socket);
}

async function openNode({ host = "127.0.0.1", port }: Part): Promise<Path> {
  const pathOf = (socket: NodeWebSocket): Path => ({
    send: (piece) => new Promise((resolve) => socket.send(piece, () => resolve())),
    receive: (onBytes) => void socket.on("message", onBytes),
    close: () => socket.close(),
  });
  if (port !== undefined) {
    const socket = new NodeWebSocket(`ws://${host}:${port}`, { perMessageDeflate: false });
    await new Promise((resolve) => socket.once("open", resolve));
    return pathOf(socket);
  }
  const http = createServer();
  const server = new WebSocketServer({ server: http, perMessageDeflate: false });
  return new Promise((resolve) => {
    server.once("connection", (socket) => resolve(pathOf(socket)));
    http.listen(0, host, () => say(String((http.address() as { port: number }).port)));
  });
}

function openDeno({ host = "127.0.0.1", port }: Part): Promise<Path> {
  if (port !== undefined) return dialW3c(`ws://${host}:${port}`);
  const { Deno } = globalThis as unknown as {
    Deno: {
      serve(
        options: { hostname: string; port: number; onListen(at: { port: number }): void },
        handler: (request: Request) => Response,
      ): void;
      upgradeWebSocket(request: Request): { socket: WebSocket; response: Response };
    };
  };
  return new Promise((resolve) => {
    const onListen = ({ port: bound }: { port: number }) => say(String(bound));
    Deno.serve({ hostname: host, port: 0, onListen }, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request);
      const path = w3cPath(socket);
      socket.onopen = () => resolve(path);
      return response;
    });
  });
}

interface BunSocket {
  send(piece: Uint8Array): number;
  close(): void;
}

function openBun({ host = "127.0.0.1", port }: Part): Promise<Path> {
  if (port !== undefined) return dialW3c(`ws://${host}:${port}`);
  const { Bun } = globalThis as unknown as {
    Bun: { serve(options: unknown): { readonly port: number } };
  };
  return new Promise((resolve) => {
    let onMessage = (_bytes: Uint8Array) => {};
    let drained = () => {};
    const server = Bun.serve({
      hostname: host,
      port: 0,
      fetch: (request: Request, own: { upgrade(request: Request): boolean }) =>
        own.upgrade(request) ? undefined : new Response(null, { status: 426 }),
      websocket: {
        perMessageDeflate: false,
        open: (socket: BunSocket) =>
          resolve({
            async send(piece) {
              // -1: taken, and more would only wait in memory.
              if (socket.send(piece) !== -1) return;
              await new Promise<void>((resume) => {
                drained = resume;
              });
            },
            receive: (onBytes) => {
              onMessage = onBytes;
            },
            close: () => socket.close(),
          }),
        message: (_socket: BunSocket, data: Uint8Array) => onMessage(data),
        drain: () => drained(),
      },
    });
    say(String(server.port));
  });
}

async function openWebTransport({ host = "127.0.0.1", port }: Part): Promise<Path> {
  const { cert, key, sha256 } = certificateHere();
  if (port !== undefined) {
    const value = Uint8Array.from(Buffer.from(sha256, "hex"));
    const serverCertificateHashes = [{ algorithm: "sha-256", value }];
    const session = new WebTransport(`https://${host}:${port}`, { serverCertificateHashes });
    await session.ready;
    const stream = await session.createBidirectionalStream();
    const path = streamPath(stream, () => session.close(), 0);
    await path.send(Uint8Array.of(0));
    return path;
  }
  const { Deno } = globalThis as unknown as {
    Deno: {
      QuicEndpoint: new (at: {
        hostname: string;
        port: number;
      }) => {
        readonly addr: { readonly port: number };
        listen(options: unknown): { accept(): Promise<unknown> };
      };
      upgradeWebTransport(connection: unknown): Promise<WebTransport>;
    };
  };
  const endpoint = new Deno.QuicEndpoint({ hostname: host, port: 0 });
  const listener = endpoint.listen({ cert, key, alpnProtocols: ["h3"] });
  say(String(endpoint.addr.port));
  const session = await Deno.upgradeWebTransport(await listener.accept());
  await session.ready;
  const { value: stream } = await session.incomingBidirectionalStreams.getReader().read();
  return streamPath(stream as Stream, () => session.close(), 1);
}

type Stream = Pick<WebTransportBidirectionalStream, "readable" | "writable">;

/** @param skippedBytes What came first only to let the other end see the stream. */
function streamPath({ readable, writable }: Stream, close: () => void, skippedBytes: number): Path {
  let toSkip = skippedBytes;
  const writer = writable.getWriter();
  return {
    send: (piece) => writer.write(piece),
    receive: (onBytes) => {
      const reader = readable.getReader();
      const readOn = async () => {
        for (let next = await reader.read(); next.value; next = await reader.read()) {
          const bytes = (next.value as Uint8Array).subarray(toSkip);
          toSkip = 0;
          if (bytes.byteLength > 0) onBytes(bytes);
        }
      };
      readOn().catch(() => {});
    },
    close,
  };
}
