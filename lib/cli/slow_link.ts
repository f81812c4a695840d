import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** What may pass at once after a pause; also evens out how coarse timers are. */
const BURST_MS = 10;

/**
 * A link of known rate on one machine: a proxy on loopback that lets what a server sends pass at
 * so many bytes a second, all connections together. What is sent to the server passes freely.
 */
export class SlowLink {
  /** Where to dial instead of the server. */
  readonly url: string;
  /** May be changed: what comes from then on passes at the new rate. */
  bytesPerSecond: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #marks: { readonly bytes: number; readonly reached: () => void }[] = [];
  #freeAtMs = 0;
  #passedBytes = 0;

  private constructor(server: Server, bytesPerSecond: number) {
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    this.url = `tcp://127.0.0.1:${port}`;
    this.#server = server;
    this.bytesPerSecond = bytesPerSecond;
  }

  /** @param serverUrl `tcp://HOST:PORT`. */
  static async open(serverUrl: string, bytesPerSecond: number): Promise<SlowLink> {
    const { hostname, port } = new URL(serverUrl.replace(/^tcp:/, "http:"));
    // Each side ends by itself, as the two would without anything in between.
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    const link = new SlowLink(server, bytesPerSecond);
    const target = { host: hostname, port: Number(port), allowHalfOpen: true };
    server.on("connection", (near) => link.#join(near, connect(target)));
    return link;
  }

  /** Bytes that the server has sent through it. */
  get passedBytes(): number {
    return this.#passedBytes;
  }

  /** Fulfils as soon as the server has sent so many bytes through it. */
  passed(bytes: number): Promise<void> {
    return new Promise((reached) => this.#marks.push({ bytes, reached }));
  }

  /** Cuts what is under way and listens no more. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(near: Socket, far: Socket): void {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.once("error", () => other.destroy());
      socket.once("close", () => this.#sockets.delete(socket));
    }
    near.once("close", () => far.destroy());
    near.pipe(far);
    far.on("data", (piece: Uint8Array) => {
      far.pause();
      this.#count(piece.byteLength);
      this.#turn(piece.byteLength).then(() => {
        if (near.write(piece)) far.resume();
        else near.once("drain", () => far.resume());
      });
    });
    far.once("end", () => near.end());
  }

  /** Waits until the bytes before these have passed at the link's rate. */
  async #turn(bytes: number): Promise<void> {
    const nowMs = performance.now();
    const beginMs = Math.max(this.#freeAtMs, nowMs - BURST_MS);
    this.#freeAtMs = beginMs + (bytes * 1000) / this.bytesPerSecond;
    if (this.#freeAtMs > nowMs) await delay(this.#freeAtMs - nowMs);
  }

  #count(bytes: number): void {
    this.#passedBytes += bytes;
    for (const mark of this.#marks) if (this.#passedBytes >= mark.bytes) mark.reached();
  }
}
