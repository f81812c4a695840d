// A page that loads what a worker has of models, as peers do, and the largest tensor as pages do.
import { TensorPeer } from "../../lib/session/peer.ts";
import { formatAddress } from "../../lib/tensor/address.ts";
import { connect } from "../../lib/transports/websocket.ts";

/** What was loaded. */
export interface Loaded {
  readonly bytes: number;
  /** The SHA-256 of each tensor that came by WebSocket, by its address. */
  readonly digests: Readonly<Record<string, string>>;
  /** The SHA-256 of the largest, as it came by plain HTTP. */
  readonly fetched: { readonly address: string; readonly sha256: string };
}

async function sha256(bytes: BufferSource): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Loads tensors of more than `leastBytes` from a worker at `http://HOST:PORT`; each is verified on the way. */
export async function loadBucket(url: string, leastBytes: number): Promise<Loaded> {
  const peer = new TensorPeer((signal) => connect(url.replace(/^http/, "ws"), { signal }));
  const all = await peer.list();
  const entries = all.filter(({ descriptor }) => descriptor.byteLength > leastBytes);
  const digests: Record<string, string> = {};
  let bytes = 0;
  for await (const tensor of peer.requestTensors(entries.map(({ address }) => address))) {
    digests[formatAddress(tensor.address)] = await sha256(tensor.bytes as BufferSource);
    bytes += tensor.bytes.byteLength;
  }
  await peer.close();
  const [largest] = entries.toSorted((a, b) => b.descriptor.byteLength - a.descriptor.byteLength);
  const address = formatAddress((largest as (typeof entries)[number]).address);
  const response = await fetch(`${url}/${address}`);
  return {
    bytes,
    digests,
    fetched: { address, sha256: await sha256(await response.arrayBuffer()) },
  };
}

Object.assign(globalThis, { loadBucket });
