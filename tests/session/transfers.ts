import { assert } from "chai";
import { deflate } from "../../lib/codec/deflate.ts";
import { NotFoundError, StorageError, UnauthorisedError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../lib/session/peer_options.ts";
import { tensorRoot } from "../../lib/tensor/root.ts";
import type { SinkStore } from "../../lib/tensor/sink.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { sameBytes } from "../streams/support.ts";
import { LEAF, storeOf, TestSink, TestSource, tensorBytes, WEIGHTS } from "./support/tensors.ts";

const KiB = 1024;
const SIZES = [0, 1, LEAF - 1, LEAF, LEAF + 1, 3.5 * LEAF];
const CHUNKS = [KiB, 4 * KiB, 700 * KiB, LEAF, 1.5 * LEAF, 4 * LEAF, 64 * LEAF];

/** Two peers over one connection in memory. */
export function peerPair(
  there: TensorPeerOptions = {},
  here: TensorPeerOptions = {},
): [client: TensorPeer, server: TensorPeer] {
  const [near, far] = connectionPair();
  return [new TensorPeer(near, here), new TensorPeer(far, { ...there, accepted: true })];
}

async function leafRoot(source: TestSource): Promise<Uint8Array> {
  const digests = [];
  for (let at = 0; at < source.bytes.byteLength; at += LEAF) {
    digests.push(await sha256([source.bytes.subarray(at, at + LEAF)]));
  }
  return tensorRoot(source.descriptor, digests, sha256);
}

export const sessionTransfersSuite: Suite = ({ test }) => {
  for (const chunkBytes of CHUNKS) {
    test(`session: tensors of every length arrive whole in chunks of ${chunkBytes} bytes`, async () => {
      for (const byteLength of SIZES) {
        const source = new TestSource(tensorBytes(byteLength));
        const root = await leafRoot(source);
        for (const codecs of [[deflate], []]) {
          for (const digest of ["sha256", "none"] as const) {
            const [client, server] = peerPair({
              store: storeOf([WEIGHTS, source]),
              codecs,
              chunkBytes,
            });
            const transfer = client.requestTensor(WEIGHTS, { into: "memory", digest });
            const what = `${byteLength} bytes, ${codecs.length} codecs, digest ${digest}`;
            assert.isTrue(sameBytes(await transfer.bytes(), source.bytes), what);
            assert.deepEqual(transfer.root, digest === "none" ? undefined : root, what);
            assert.equal(transfer.status, "complete");
            assert.equal(transfer.progress.bytes, byteLength);
            await client.close();
            await server.close();
          }
        }
        assert.equal(source.opened, source.closed);
        assert.equal(source.opened, 4);
      }
    });
  }

  test("session: a tensor comes as a stream, in order, its bytes unshared", async () => {
    const source = new TestSource(tensorBytes(3.5 * LEAF));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    const transfer = client.requestTensor(WEIGHTS);
    const parts: Uint8Array[] = [];
    const reader = transfer.readable.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read())
      parts.push(next.value);
    await transfer.done;
    let at = 0;
    for (const part of parts) {
      assert.isTrue(sameBytes(part, source.bytes.subarray(at, at + part.byteLength)), `at ${at}`);
      at += part.byteLength;
    }
    assert.equal(at, source.bytes.byteLength);
    await client.close();
    await server.close();
  });

  test("session: a push lands in the sink that the other end gives", async () => {
    const bytes = tensorBytes(2.5 * LEAF);
    const taken: TestSink[] = [];
    const sinks: SinkStore = {
      async accept(address, descriptor) {
        assert.deepEqual(address, WEIGHTS);
        const sink = new TestSink(descriptor);
        taken.push(sink);
        return sink;
      },
    };
    const [client, server] = peerPair({ sinks });
    const source = new TestSource(bytes);
    const transfer = client.streamTensor(WEIGHTS, source);
    await transfer.done;
    assert.lengthOf(taken, 1);
    assert.isTrue(sameBytes(taken[0]?.bytes ?? new Uint8Array(), bytes));
    assert.equal(taken[0]?.released, 1);
    assert.equal(transfer.progress.bytes, bytes.byteLength);
    await client.close();
    await server.close();
  });

  test("session: a push is refused where nobody takes any, and by a store that says no", async () => {
    const source = new ByteSource(tensorBytes(LEAF), { dtype: "U8", shape: [LEAF] });
    const [client, server] = peerPair();
    await assertRejects(
      () => client.streamTensor(WEIGHTS, source).done,
      UnauthorisedError,
      /no pushes/,
    );
    await client.close();
    await server.close();
    const path = "/home/somebody/models/secret.bin";
    const sinks = { accept: () => Promise.reject(new StorageError(`${path} is full`)) };
    const [second, third] = peerPair({ sinks });
    const error = await assertRejects(
      () => second.streamTensor(WEIGHTS, source).done,
      Error,
      /its own files fail it/,
    );
    assert.notInclude(String(error), "somebody");
    await second.close();
    await third.close();
  });

  test("session: what is not there is a not_found that leaves the connection as it was", async () => {
    const source = new TestSource(tensorBytes(10));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    const missing = { ...WEIGHTS, tensor: "nothing" };
    await assertRejects(() => client.requestTensor(missing).done, NotFoundError, /nothing/);
    assert.isTrue(
      sameBytes(await client.requestTensor(WEIGHTS, { into: "memory" }).bytes(), source.bytes),
    );
    await client.close();
    await server.close();
    const [lone, silent] = peerPair();
    await assertRejects(() => lone.requestTensor(WEIGHTS).done, NotFoundError, /serves nothing/);
    await lone.close();
    await silent.close();
  });

  test("session: both ends move tensors at once, many, over one connection", async () => {
    const sources = Array.from({ length: 12 }, (_, n) => {
      const address = { ...WEIGHTS, tensor: `t${n}` };
      return [address, new TestSource(tensorBytes(LEAF + n * 1000))] as [
        typeof address,
        TestSource,
      ];
    });
    const store = storeOf(...sources);
    const [client, server] = peerPair({ store }, { store });
    const both = [client, server].flatMap((peer) =>
      sources.map(async ([address, source], n) => {
        const priority = (n * 37) % 256;
        const bytes = await peer.requestTensor(address, { into: "memory", priority }).bytes();
        assert.isTrue(sameBytes(bytes, source.bytes), address.tensor);
      }),
    );
    await Promise.all(both);
    assert.isEmpty(client.transfers);
    await client.close();
    await server.close();
  });

  test("session: a tensor is asked for right into a store, small or large", async () => {
    const store = new MemoryStore();
    for (const bytes of [tensorBytes(100), tensorBytes(2.5 * LEAF)]) {
      const source = new TestSource(bytes);
      const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
      await client.requestTensor(WEIGHTS, { into: store }).done;
      assert.isTrue(sameBytes(store.get(WEIGHTS)?.bytes ?? new Uint8Array(), bytes));
      await client.close();
      await server.close();
    }
  });

  test("session: a sink of the requester's own is let go once, whatever comes", async () => {
    const source = new TestSource(tensorBytes(LEAF + 1));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    let sink: TestSink | undefined;
    await client.requestTensor(WEIGHTS, {
      into: (offer) => {
        sink = new TestSink(offer.descriptor);
        return sink;
      },
    }).done;
    assert.equal(sink?.released, 1);
    assert.equal(sink?.committed_, 1);
    const failure = new StorageError("The disk is full");
    let full: TestSink | undefined;
    const transfer = client.requestTensor(WEIGHTS, {
      into: (offer) => {
        full = new TestSink(offer.descriptor);
        full.onWrite = () => Promise.reject(failure);
        return full;
      },
    });
    assert.strictEqual(await transfer.done.catch((error: unknown) => error), failure);
    assert.equal(full?.released, 1);
    assert.equal(full?.committed_, 0);
    assert.equal(transfer.status, "failed");
    await client.close();
    await server.close();
    assert.equal(source.opened, source.closed);
  });
};
