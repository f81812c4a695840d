import { Socket, type SocketConstructorOpts } from "node:net";
import type { NodeReads } from "./node_socket.ts";

/** What an accepted socket stands on; Node does not document where a socket keeps it. */
type SocketHandle = NonNullable<SocketConstructorOpts["handle"]> & {
  /** What `onread` is made of. */
  readonly useUserBuffer?: unknown;
};

/** With what `node:net` itself makes the sockets that it accepts. */
interface OverHandle extends SocketConstructorOpts {
  readonly handle: SocketHandle;
  readonly pauseOnCreate: true;
}

/**
 * An accepted socket that reads into memory of ours, which `node:net` offers to dialled ones only:
 * a new socket over the same handle, the given one let go of. Taking a pushed tensor costs 0.60 s of
 * processor time a GiB so, and 1.45 by `data` events (Node 26; see `bench/throughput.ts`). Where
 * sockets are not built like this, the given one comes back as it is.
 */
export function withReads(socket: Socket, reads: NodeReads): { socket: Socket; reads?: NodeReads } {
  const holder = socket as unknown as { _handle?: SocketHandle | null };
  const handle = holder._handle;
  if (typeof handle?.useUserBuffer !== "function") return { socket };
  holder._handle = null;
  socket.destroy();
  const options: OverHandle = {
    handle,
    onread: reads.onread,
    allowHalfOpen: true,
    pauseOnCreate: true,
  };
  return { socket: new Socket(options), reads };
}
