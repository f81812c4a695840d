// A Cloudflare worker between plain HTTP and a peer that has the tensors: GET streams one out of it,
// PUT streams one in, and neither is ever in memory. ORIGIN is the peer's URL, tcp://, tls://, ws://
// or wss://. A bearer token is handed on, so that it is the peer who lets in.
import {
  formatAddress,
  isDType,
  parseAddress,
  type TensorAddress,
  TensorPeer,
  type TensorPeerOptions,
  WritableSink,
} from "headrace";
import { connect } from "headrace/cloudflare";
import { connect as connectWebSocket } from "headrace/websocket";

interface Environment {
  readonly ORIGIN: string;
}

interface Context {
  waitUntil(work: Promise<unknown>): void;
}

/** A worker's own: bytes that go through it do not go through JavaScript, and their count is known. */
declare const FixedLengthStream: new (
  byteLength: number,
) => TransformStream<Uint8Array, Uint8Array>;

/** Of what is sent twice after a cut; a worker has 128 MB in all. */
const REPLAY_BYTES = 8 * 1024 * 1024;

function peerOf(origin: string, { headers }: Request): TensorPeer {
  const dial = origin.startsWith("ws") ? connectWebSocket : connect;
  const token = /^Bearer\s+(.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  // What is inflated would wait for the garbage collector, and a worker's processor time is short.
  const options: TensorPeerOptions = { codecs: [], ...(token !== undefined && { token }) };
  return new TensorPeer((signal) => dial(origin, { signal }), options);
}

async function get(address: TensorAddress, peer: TensorPeer, context: Context): Promise<Response> {
  const [found] = await peer.list(formatAddress(address));
  if (!found) {
    await peer.close();
    return new Response("no such tensor\n", { status: 404 });
  }
  const { descriptor, version } = found;
  const { readable, writable } = new FixedLengthStream(descriptor.byteLength);
  const sink = new WritableSink(writable, { copies: false });
  const { done } = peer.requestTensor(address, { version, into: () => sink });
  // What fails shows as a body that ends early.
  context.waitUntil(done.catch((error) => sink.abort(error)).finally(() => peer.close()));
  const headers = {
    "content-type": "application/octet-stream",
    "headrace-dtype": descriptor.dtype,
    "headrace-shape": descriptor.shape.join(","),
  };
  return new Response(readable, { headers });
}

async function put(address: TensorAddress, peer: TensorPeer, request: Request): Promise<Response> {
  const dtype = request.headers.get("headrace-dtype") ?? "";
  const shape = request.headers.get("headrace-shape") ?? "";
  if (!request.body || !isDType(dtype)) {
    return new Response("wanted a body, headrace-dtype and headrace-shape\n", { status: 400 });
  }
  const dimensions = shape
    .split(",")
    .filter((one) => one !== "")
    .map(Number);
  const options = { dtype, shape: dimensions, replayBytes: REPLAY_BYTES };
  await peer.streamTensor(address, request.body, options).done;
  await peer.close();
  return new Response(null, { status: 204 });
}

export default {
  async fetch(request: Request, { ORIGIN }: Environment, context: Context): Promise<Response> {
    const peer = peerOf(ORIGIN, request);
    try {
      const address = parseAddress(new URL(request.url).pathname.slice(1));
      if (request.method === "GET") return await get(address, peer, context);
      if (request.method === "PUT") return await put(address, peer, request);
      return new Response("only GET and PUT\n", { status: 405, headers: { allow: "GET, PUT" } });
    } catch (error) {
      peer.destroy(error);
      return new Response(`${(error as Error).message}\n`, { status: 502 });
    }
  },
};
