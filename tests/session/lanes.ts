import { assert } from "chai";
import { TransportError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { turn } from "../transports/conformance.ts";
import { lanedPair } from "./support/laned_pair.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";

const at = (n: number): TensorAddress => ({ ...WEIGHTS, tensor: `t.${n}` });

export const lanesSuite: Suite = ({ test }) => {
  test("lanes: transfers of every kind go through, both ways, over lanes that overtake each other", async () => {
    const store = new MemoryStore();
    const sinks = new MemoryStore();
    const sizes = [10, 3 * LEAF + 5, 100_000, LEAF, 5 * LEAF, 64 * 1024, 0, 2 * LEAF - 1];
    for (const [n, size] of sizes.entries()) store.set(at(n), patterned(size));
    const { near, far, count } = lanedPair();
    const server = new TensorPeer(far, { store, sinks, accepted: true });
    const client = new TensorPeer(near);
    await client.list();
    while (count() < 8) await turn();
    const pulls = sizes.map((_, n) => client.requestTensor(at(n), { into: "memory" }));
    const pushes = sizes.map((size, n) => client.streamTensor(at(n), patterned(size)));
    const shape = [Number.POSITIVE_INFINITY];
    const open = client.streamTensor(
      at(99),
      new Blob([patterned(3 * LEAF + 7) as Uint8Array<ArrayBuffer>]).stream(),
      {
        dtype: "U8",
        shape,
        openEnded: true,
      },
    );
    for (const [n, pull] of pulls.entries()) {
      assert.isTrue(sameBytes(await pull.bytes(), patterned(sizes[n] ?? 0)), `${sizes[n]} bytes`);
    }
    for (const [n, push] of pushes.entries()) {
      await push.done;
      const stored = sinks.get(at(n))?.bytes;
      assert.isTrue(stored && sameBytes(stored, patterned(sizes[n] ?? 0)));
    }
    await open.done;
    assert.isTrue(sameBytes(sinks.get(at(99))?.bytes ?? new Uint8Array(), patterned(3 * LEAF + 7)));
    let came = 0;
    for await (const _ of client.requestTensors(sizes.map((_, n) => at(n)))) came++;
    assert.equal(came, sizes.length);
    await client.close();
    await server.close();
  });

  test("lanes: each has the priority of what it carries, said when that is another", async () => {
    const store = new MemoryStore();
    for (const n of [0, 1]) store.set(at(n), patterned(4 * LEAF));
    const { near, far, count, priorities } = lanedPair();
    const server = new TensorPeer(far, { store, accepted: true });
    const client = new TensorPeer(near);
    await client.list();
    while (count() < 8) await turn();
    for (const [n, priority] of [100, 7].entries()) {
      await client.requestTensor(at(n), { into: "memory", priority }).done;
    }
    const given = priorities.flat();
    assert.sameMembers([...new Set(given)], [100, 7]);
    assert.isAtMost(given.length, 4, "not for each fragment");
    await client.close();
    await server.close();
  });

  test("lanes: a lane that is lost is the connection lost", async () => {
    const source = new TestSource(patterned(64 * LEAF));
    const { near, far, count, cutLane } = lanedPair();
    const server = new TensorPeer(far, { store: storeOf([WEIGHTS, source]), accepted: true });
    server.closed.catch(() => {});
    const client = new TensorPeer(near);
    await client.list();
    while (count() < 8) await turn();
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    cutLane(3);
    await assertRejects(() => transfer.done, Error, /./);
    await client.close();
    await server.close();
  });

  test("lanes: whichever begins first, and whichever never does, the link ends when it is cut", async () => {
    const { near, far } = lanedPair();
    const server = new TensorPeer(far, { store: new MemoryStore(), accepted: true });
    const raw = new RawPeer(near);
    await raw.greet();
    const { laneKey: key = new Uint8Array() } = await raw.nextMessage("hello");
    const duplex = await near.lanes?.open();
    const late = new RawPeer({ ...near, ...duplex } as typeof near);
    await late.begin("lane", { lane: 3, key });
    await raw.message("list", 1, { pattern: ANYTHING, roots: false });
    await raw.next(FRAME.listing);
    raw.close(new TransportError("cut"));
    await assertRejects(() => server.closed, TransportError, /closed the connection/);
    await server.close();
  });

  test("lanes: one that does not show the connection's key, or takes another's place, is not taken", async () => {
    const { near, far } = lanedPair();
    const server = new TensorPeer(far, { store: new MemoryStore(), accepted: true });
    const raw = new RawPeer(near);
    await raw.greet();
    const { laneKey, maxLanes } = await raw.nextMessage("hello");
    assert.equal(laneKey?.byteLength, 16);
    assert.isAbove(maxLanes ?? 0, 1);
    for (const [lane, key] of [
      [1, new Uint8Array(16)],
      [0, laneKey],
      [maxLanes, laneKey],
    ] as const) {
      const duplex = await near.lanes?.open();
      const stranger = new RawPeer({ ...near, ...duplex } as typeof near);
      await stranger.begin("lane", { lane: lane ?? 0, key: key ?? new Uint8Array(16) });
      await stranger.message("list", 1, { pattern: ANYTHING, roots: false });
    }
    await raw.message("list", 1, { pattern: ANYTHING, roots: false });
    await raw.next(FRAME.listing);
    raw.close();
    await server.close();
  });
};

const ANYTHING = { model: "*", partition: "*", tensor: "*" };
