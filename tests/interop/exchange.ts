// The other end of peer.ts, wherever there is a transport: fetches the bulk, and pushes it back.
import type { Connection } from "../../lib/connection.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { connect as connectWebSocket } from "../../lib/transports/websocket.ts";
import { connect as connectWebTransport } from "../../lib/transports/webtransport.ts";

/** What was exchanged. */
export interface Exchanged {
  readonly bytes: number;
  readonly sha256: string;
  /** How the pull was verified. */
  readonly verified: string | undefined;
  /** Further byte paths that the connection had. */
  readonly hasLanes: boolean;
}

const BULK = { model: "interop", partition: "bulk", tensor: "all" };

/** Pulls the bulk tensor, hashes it, and pushes it back as `interop/back/all`. */
export async function exchange(url: string): Promise<Exchanged> {
  let hasLanes = false;
  const dial = async (signal?: AbortSignal): Promise<Connection> => {
    const connect = url.startsWith("https:") ? connectWebTransport : connectWebSocket;
    const connection = await connect(url, { signal });
    hasLanes = connection.lanes !== undefined;
    return connection;
  };
  const peer = new TensorPeer(dial, { retry: { maxRetries: 0 } });
  const pull = peer.requestTensor(BULK, { into: "memory" });
  const bytes = (await pull.bytes()) as Uint8Array<ArrayBuffer>;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  await peer.streamTensor({ ...BULK, partition: "back" }, bytes).done;
  await peer.close();
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { bytes: bytes.byteLength, sha256, verified: pull.verified, hasLanes };
}

Object.assign(globalThis, { exchange });
