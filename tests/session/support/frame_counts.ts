// Two peers, and what each of them has sent, by type of frame.
import type { Connection } from "../../../lib/connection.ts";
import { TensorPeer } from "../../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../../lib/session/peer_options.ts";
import { connectionPair } from "../../../lib/transports/memory.ts";
import type { FrameHeader } from "../../../lib/wire/frame_header.ts";
import { FrameParser } from "../../../lib/wire/frame_parser.ts";

/** The connection, and a look at every frame that it is given to send. */
export function watched(
  connection: Connection,
  onFrame: (header: FrameHeader, payload: Uint8Array | undefined) => void,
): Connection {
  const parser = new FrameParser({
    frame: (header, payload) => onFrame(header, payload),
    chunk: (header) => onFrame(header, undefined),
    chunkData: () => {},
  });
  const look = new TransformStream<Uint8Array, Uint8Array>(
    {
      transform(bytes, controller) {
        parser.push(bytes);
        controller.enqueue(bytes.slice());
      },
    },
    { highWaterMark: 1 },
  );
  look.readable.pipeTo(connection.writable).catch(() => {});
  return {
    remote: connection.remote,
    readable: connection.readable,
    writable: look.writable,
    closed: connection.closed,
    close: (reason) => connection.close(reason),
  };
}

/** A client and a server over memory, and the frames that each has sent. */
export function frameCounts(
  there: TensorPeerOptions = {},
  here: TensorPeerOptions = {},
): {
  pair: [client: TensorPeer, server: TensorPeer];
  sent: { client: Map<number, number>; server: Map<number, number> };
} {
  const sent = { client: new Map<number, number>(), server: new Map<number, number>() };
  const [near, far] = connectionPair();
  const count = (into: Map<number, number>) => (header: FrameHeader) => {
    into.set(header.type, (into.get(header.type) ?? 0) + 1);
  };
  const client = new TensorPeer(watched(near, count(sent.client)), here);
  const server = new TensorPeer(watched(far, count(sent.server)), { ...there, accepted: true });
  return { pair: [client, server], sent };
}
