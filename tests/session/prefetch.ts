import { assert } from "chai";
import { deferred } from "../../lib/deferred.ts";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Offer } from "../../lib/wire/messages.ts";
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

  for (const into of ["stream", "store", "sink"] as const) {
    test(`prefetch: what one has fetched goes into a ${into} without being sent again`, async () => {
      const source = new TestSource(patterned(12 * LEAF + 77));
      const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]), codecs: [] });
      const [prefetch] = client.prefetch([WEIGHTS]);
      prefetch?.done.catch(() => {});
      while ((prefetch?.progress.bytes ?? 0) < 3 * LEAF) await settle();
      const outlets = {
        stream: { into: "stream" },
        store: { into: new MemoryStore() },
        sink: { into: ({ descriptor }: Offer) => new MemorySink(descriptor) },
      } as const;
      const transfer = client.requestTensor(WEIGHTS, outlets[into]);
      const read = into === "stream" ? new Response(transfer.readable).arrayBuffer() : undefined;
      await transfer.done;
      assert.equal(transfer.verified, "root");
      assert.isAtLeast(transfer.progress.resumedBytes, 3 * LEAF);
      assert.isBelow(server.sentBytes, 12.8 * LEAF);
      if (read) assert.isTrue(sameBytes(new Uint8Array(await read), source.bytes));
      if (into === "store") {
        const stored = await outlets.store.into.open(WEIGHTS);
        assert.isTrue(
          sameBytes(stored.view?.(0, source.bytes.byteLength) as Uint8Array, source.bytes),
        );
      }
      await client.close();
      await server.close();
    });
  }

  test("prefetch: a stream of what is here waits for its reader, and ends with it", async () => {
    const store = new MemoryStore();
    store.set(WEIGHTS, patterned(3 * LEAF));
    const [client, server] = peerPair({ store });
    await client.prefetch([WEIGHTS])[0]?.done;
    const transfer = client.requestTensor(WEIGHTS);
    const reader = transfer.readable.getReader();
    for (let leaf = 0; leaf < 3; leaf++) {
      assert.notEqual(transfer.status, "complete");
      const { value } = await reader.read();
      assert.isTrue(
        sameBytes(
          value as Uint8Array,
          patterned(3 * LEAF).subarray(leaf * LEAF, (leaf + 1) * LEAF),
        ),
      );
    }
    assert.isTrue((await reader.read()).done);
    await transfer.done;
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
    const readable = client.requestTensor(WEIGHTS).readable;
    const read = new Uint8Array(await new Response(readable).arrayBuffer());
    assert.isTrue(sameBytes(read, changed));
    await client.prefetch([WEIGHTS])[0]?.done;
    store.set(WEIGHTS, patterned(2 * LEAF));
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), patterned(2 * LEAF)));
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
