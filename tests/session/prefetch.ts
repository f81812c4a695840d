import { assert } from "chai";
import { deferred } from "../../lib/deferred.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Suite } from "../harness.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { frameCounts } from "./support/frame_counts.ts";
import { settle } from "./support/manual_clock.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

const at = (tensor: string): TensorAddress => ({ ...WEIGHTS, tensor });

export const prefetchSuite: Suite = ({ test }) => {
  test("prefetch: a request takes a running one over, at its own priority, and nothing is sent twice", async () => {
    const source = new TestSource(patterned(12 * LEAF));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]), codecs: [] });
    const [prefetch] = client.prefetch([WEIGHTS]);
    assert.equal(prefetch?.priority, 0);
    while ((prefetch?.progress.bytes ?? 0) === 0) await settle();
    const transfer = client.requestTensor(WEIGHTS, { into: "memory", priority: 100 });
    assert.equal(transfer.priority, 100);
    assert.isTrue(sameBytes(await transfer.bytes(), source.bytes));
    assert.isBelow(server.sentBytes, 12.5 * LEAF);
    await client.close();
    await server.close();
  });

  test("prefetch: what is here already is only compared", async () => {
    const store = new MemoryStore();
    store.set(WEIGHTS, patterned(3 * LEAF));
    const { pair, sent } = frameCounts({ store });
    const [client, server] = pair;
    await Promise.all(client.prefetch([WEIGHTS, WEIGHTS]).map(({ done }) => done));
    const chunks = sent.server.get(FRAME.chunk);
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), patterned(3 * LEAF)));
    assert.equal(transfer.progress.resumedBytes, 3 * LEAF);
    assert.equal(sent.server.get(FRAME.chunk), chunks);
    await client.close();
    await server.close();
  });

  test("prefetch: an old version is not taken for the new one", async () => {
    const store = new MemoryStore();
    store.set(WEIGHTS, patterned(2 * LEAF));
    const [client, server] = peerPair({ store });
    await client.prefetch([WEIGHTS])[0]?.done;
    const changed = patterned(2 * LEAF);
    changed[LEAF + 5] = (changed[LEAF + 5] ?? 0) ^ 1;
    store.set(WEIGHTS, changed);
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), changed));
    assert.equal(transfer.progress.resumedBytes, LEAF, "the leaf that is the same is kept");
    await client.close();
    await server.close();
  });

  test("prefetch: real requests come first, and memory is bounded", async () => {
    const go = deferred<void>();
    const sources = ["a", "b", "c"].map((name) => {
      const source = new TestSource(patterned(4 * LEAF));
      return [at(name), source] as [TensorAddress, TestSource];
    });
    const [client, server] = peerPair(
      { store: storeOf(...sources), codecs: [] },
      { limits: { maxPrefetchBytes: 6 * LEAF } },
    );
    const transfers = client.prefetch(sources.map(([address]) => address));
    await Promise.allSettled(transfers.map(({ done }) => done));
    // Only one of them fits beside another.
    const read = sources.map(([, source]) => source.readBytes);
    for (const [address] of sources) await client.requestTensor(address, { into: "memory" }).done;
    const again = sources.map(([, source], n) => source.readBytes - (read[n] ?? 0));
    assert.equal(again.filter((bytes) => bytes === 0).length, 1);
    go.resolve();
    await client.close();
    await server.close();
  });
};
