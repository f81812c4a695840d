// One process serves a tensor over TCP, another (here the same one) asks for it.
import { ByteSource, NotFoundError, PeerHost, TensorPeer, type TensorStore } from "headrace";
import { connect, listen } from "headrace/tcp";

const weights = new Float32Array(1024 * 1024).map((_, n) => Math.sin(n));
const source = new ByteSource(new Uint8Array(weights.buffer), {
  dtype: "F32",
  shape: [1024, 1024],
});
const address = { model: "sine", partition: "default", tensor: "weights" };

const store: TensorStore = {
  async *list() {
    yield { address, descriptor: source.descriptor, version: await source.version() };
  },
  async open({ model, tensor }) {
    if (model === "sine" && tensor === "weights") return source;
    throw new NotFoundError(`There is no ${model}/${tensor} here`);
  },
};

const listener = await listen("tcp://127.0.0.1:0");
const host = new PeerHost(listener.connections, { peer: () => ({ store }) });

// Dials when it has something to do, again after a cut, and goes on where it was.
const peer = new TensorPeer((signal) => connect(listener.url, { signal }));
for (const { address, descriptor } of await peer.list("sine")) {
  console.log(address.tensor, descriptor.dtype, descriptor.shape);
}

const transfer = peer.requestTensor(address, { into: "memory", priority: 100 });
const bytes = await transfer.bytes();
console.log(new Float32Array(bytes.buffer, bytes.byteOffset, 4));
console.log(transfer.progress);

await peer.close();
await host.close();
await listener.close();
