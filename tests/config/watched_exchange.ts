// Two peers under given settings, and what one of them puts on the wire.
import type { Clock } from "../../lib/clock.ts";
import type { Compression } from "../../lib/codec/compression.ts";
import { peerOptions } from "../../lib/config/peer_options.ts";
import type { Settings } from "../../lib/config/settings.ts";
import type { Connection } from "../../lib/connection.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { decodeMessage } from "../../lib/wire/control.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import { FrameParser } from "../../lib/wire/frame_parser.ts";
import { helloShape } from "../../lib/wire/link_shapes.ts";
import type { Hello, Offer } from "../../lib/wire/messages.ts";
import { offerShape } from "../../lib/wire/transfer_shapes.ts";
import { turn } from "../transports/conformance.ts";

export const ADDRESS = { model: "m", partition: "default", tensor: "w" };

/** What an end has sent. */
export class Sent {
  hello: Hello | undefined;
  readonly offers: Offer[] = [];
  /** Each chunk once, whatever its fragments. */
  readonly chunks: { byteOffset: number; rawBytes: number; codec: number }[] = [];
  readonly frames: number[] = [];
  chunkDataBytes = 0;
}

/**
 * Time that passes with what is sent, a millisecond a kilobyte: no test waits for it. It stands still
 * while a codec works, so that compression pays on any machine.
 */
class LinkClock implements Clock {
  sentBytes = 0;
  #atWork = 0;

  sent(bytes: number): void {
    if (this.#atWork === 0) this.sentBytes += bytes;
  }

  /** The codec, costing no time. */
  free(codec: Compression): Compression {
    const compress = async (bytes: Uint8Array) => {
      this.#atWork++;
      try {
        return await codec.compress(bytes);
      } finally {
        this.#atWork--;
      }
    };
    return { ...codec, compress };
  }

  now(): number {
    return this.sentBytes / 1000;
  }

  after(): () => void {
    return () => {};
  }
}

/** The connection, with every frame that is written to it noted, and its time taken. */
export function noted(inner: Connection, sent: Sent, clock?: LinkClock): Connection {
  const parser = new FrameParser({
    frame: (header, payload) => {
      sent.frames.push(header.type);
      if (header.type === FRAME.hello) sent.hello = decodeMessage(helloShape, header, payload);
      if (header.type === FRAME.offer) sent.offers.push(decodeMessage(offerShape, header, payload));
    },
    chunk: (_header, head) => {
      const { byteOffset, rawBytes, codec, fragmentOffset } = head;
      if (fragmentOffset === 0) sent.chunks.push({ byteOffset, rawBytes, codec });
    },
    chunkData: (bytes) => {
      sent.chunkDataBytes += bytes.byteLength;
    },
  });
  // Room for what a sender has under way: a link takes bytes before they come out at its end.
  const way = new TransformStream<Uint8Array, Uint8Array>(
    {
      transform(bytes, controller) {
        parser.push(bytes);
        controller.enqueue(bytes.slice());
      },
    },
    { highWaterMark: 1 },
    new ByteLengthQueuingStrategy({ highWaterMark: 4 * 1024 * 1024 }),
  );
  const writer = inner.writable.getWriter();
  const arriving = new WritableStream<Uint8Array>({
    async write(bytes) {
      if (clock) {
        await turn();
        clock.sent(bytes.byteLength);
      }
      await writer.write(bytes);
    },
    close: () => writer.close(),
    abort: (reason) => writer.abort(reason),
  });
  way.readable.pipeTo(arriving).catch(() => {});
  const { writable } = way;
  const { readable, remote, closed } = inner;
  return { readable, writable, remote, closed, close: (reason) => inner.close(reason) };
}

/** What a server and a client have sent, with one tensor asked for. */
export interface Exchange {
  readonly server: Sent;
  readonly client: Sent;
  /** How far the client has checked the tensor. */
  readonly verified: string | undefined;
  readonly error: unknown;
}

/** A server with these settings gives a tensor to a client with settings of its own. */
export async function exchange(
  server: Settings,
  client: Settings,
  bytes: Uint8Array,
): Promise<Exchange> {
  const store = new MemoryStore();
  store.set(ADDRESS, bytes);
  const [near, far] = connectionPair();
  const sent = { server: new Sent(), client: new Sent() };
  const clock = new LinkClock();
  const options = peerOptions(server);
  const there = new TensorPeer(noted(far, sent.server, clock), {
    ...options,
    codecs: (options.codecs ?? []).map((codec) => clock.free(codec)),
    store,
    accepted: true,
    clock,
  });
  const here = new TensorPeer(noted(near, sent.client), peerOptions(client));
  const transfer = here.requestTensor(ADDRESS, { into: "memory" });
  const error = await transfer.done.then(
    () => undefined,
    (reason) => reason,
  );
  await Promise.all([here.close(), there.close()]);
  return { ...sent, verified: transfer.verified, error };
}
