// What a page or a worker does in a bench: takes one tensor, over a bare transport or by headrace.
import type { Connection } from "../../../lib/connection.ts";
import { sha256 } from "../../../lib/platform/sha256.ts";
import type { TensorSink } from "../../../lib/tensor/sink.ts";
import { xxh32 } from "../../../lib/wire/xxh32.ts";
import { TensorPeer } from "../../../mod.ts";
import type { Transport } from "../transports.ts";

/** What it is asked for. */
export interface Ask {
  readonly over: "raw" | "headrace";
  readonly transport: Transport;
  readonly port: number;
  /** Of the certificate, where there is one. */
  readonly sha256: string;
  readonly bytes: number;
  /** Whether to say what arrived; never while timing. */
  readonly digest: boolean;
}

/** What came of it. */
export interface Received {
  readonly bytes: number;
  readonly seconds: number;
  /** SHA-256 of the leaves' SHA-256, in hexadecimal. */
  readonly digest?: string;
}

/** A bare path to the sender. */
export interface BarePath {
  /** Calls `take` with all that comes. */
  receive(take: (bytes: Uint8Array) => void): void;
  send(bytes: Uint8Array): Promise<void>;
}

/** How this runtime reaches the sender. */
export interface Dialers {
  bare(ask: Ask): Promise<BarePath>;
  connect(ask: Ask): Promise<Connection>;
}

const MiB = 1024 * 1024;
const ADDRESS = { model: "bench", partition: "default", tensor: "w" };

/** From the first byte, or from the request, to the last leaf's digest. */
export function receive(ask: Ask, dialers: Dialers): Promise<Received> {
  return ask.over === "raw" ? receiveBare(ask, dialers) : receiveTensor(ask, dialers);
}

async function receiveBare(ask: Ask, dialers: Dialers): Promise<Received> {
  const path = await dialers.bare(ask);
  const digests: (Uint8Array | Promise<Uint8Array>)[] = [];
  let startMs: number | undefined;
  let leaf = new Uint8Array(MiB);
  let [leafBytes, receivedBytes] = [0, 0];
  const endLeaf = () => {
    const whole = leaf.subarray(0, leafBytes);
    xxh32(whole);
    digests.push(sha256([whole]));
    leaf = new Uint8Array(MiB);
    leafBytes = 0;
  };
  await new Promise<void>((resolve) =>
    path.receive((bytes) => {
      startMs ??= performance.now();
      for (let at = 0; at < bytes.byteLength; ) {
        const piece = bytes.subarray(at, at + MiB - leafBytes);
        leaf.set(piece, leafBytes);
        leafBytes += piece.byteLength;
        at += piece.byteLength;
        if (leafBytes === MiB) endLeaf();
      }
      receivedBytes += bytes.byteLength;
      if (receivedBytes >= ask.bytes) resolve();
    }),
  );
  if (leafBytes > 0) endLeaf();
  const found = await Promise.all(digests);
  const seconds = (performance.now() - (startMs ?? 0)) / 1000;
  await path.send(Uint8Array.of(1));
  return { bytes: receivedBytes, seconds, ...(ask.digest && { digest: await digestOf(found) }) };
}

async function receiveTensor(ask: Ask, dialers: Dialers): Promise<Received> {
  const peer = new TensorPeer(await dialers.connect(ask), { codecs: [] });
  const found: Uint8Array[] = [];
  let receivedBytes = 0;
  const sink: TensorSink = {
    pace: "memory",
    held: async () => undefined,
    begin: async () => {},
    commit: async () => {},
    release: async () => {},
    async write({ index }, bytes) {
      receivedBytes += bytes.byteLength;
      if (ask.digest) found[index] = await sha256([bytes.slice()]);
    },
  };
  await peer.remoteHello();
  const startMs = performance.now();
  await peer.requestTensor(ADDRESS, { into: () => sink }).done;
  const seconds = (performance.now() - startMs) / 1000;
  await peer.close();
  return { bytes: receivedBytes, seconds, ...(ask.digest && { digest: await digestOf(found) }) };
}

async function digestOf(digests: readonly Uint8Array[]): Promise<string> {
  const digest = await sha256(digests);
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A path over a socket in the shape of browsers'. */
export function webSocketPath(socket: Pick<WebSocket, "addEventListener" | "send">): BarePath {
  return {
    receive: (take) =>
      socket.addEventListener("message", ({ data }) => take(new Uint8Array(data as ArrayBuffer))),
    send: async (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
  };
}

/** A path over streams. */
export function streamPath(
  readable: ReadableStream<Uint8Array>,
  writable: WritableStream<Uint8Array>,
): BarePath {
  const writer = writable.getWriter();
  return {
    receive: (take) => {
      const reader = readable.getReader();
      const readOn = async () => {
        for (let next = await reader.read(); next.value; next = await reader.read()) {
          take(next.value);
        }
      };
      readOn().catch(() => {});
    },
    send: (bytes) => writer.write(bytes),
  };
}
