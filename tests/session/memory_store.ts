import { assert } from "chai";
import type { Connect } from "../../lib/connection.ts";
import { IntegrityError, LimitError, NotFoundError } from "../../lib/errors.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { formatAddress, parseAddress, parsePattern } from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { TensorSink } from "../../lib/tensor/sink.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { type Faults, FaultyConnection } from "./support/faulty_connection.ts";

const W = parseAddress("m/p/w");
const V = parseAddress("m/p/v");
const ALL = parsePattern("");
const VERSION = Uint8Array.of(1);
const content = patterned(6 * LEAF_BYTES + 5);
const digest = (fill: number) => new Uint8Array(32).fill(fill);

/** What is told of the store from now on. */
function changesOf(store: MemoryStore, pattern = ""): string[] {
  const changes: string[] = [];
  store.watch(parsePattern(pattern), ({ kind, address }) => {
    changes.push(`${kind} ${formatAddress(address)}`);
  });
  return changes;
}

async function listed(store: MemoryStore, pattern = ""): Promise<string[]> {
  const names: string[] = [];
  for await (const { address } of store.list(parsePattern(pattern))) {
    names.push(formatAddress(address));
  }
  return names;
}

async function bytesAt(store: MemoryStore, address = W): Promise<Uint8Array> {
  const source = await store.open(address);
  const into = new Uint8Array(source.descriptor.byteLength);
  await source.read(0, into);
  return into;
}

/** Pushes a tensor of whole leaves by hand, each filled with its number plus one. */
async function fill(sink: TensorSink, leaves: readonly number[]): Promise<void> {
  for (const index of leaves) {
    const bytes = new Uint8Array(LEAF_BYTES).fill(index + 1);
    await sink.write({ index, digest: digest(index) }, bytes);
  }
}

const leavesOf = async (sink: TensorSink) =>
  (await sink.held())?.leaves.map(({ index }) => index).sort();

/** A peer that pushes into the store over connections with faults. */
function pusher(store: MemoryStore, faultsOf: (dial: number) => Faults = () => ({})) {
  const wires: FaultyConnection[] = [];
  const connect: Connect = async () => {
    const [near, far] = connectionPair();
    const wire = new FaultyConnection(near, faultsOf(wires.length));
    wires.push(wire);
    const server = new TensorPeer(far, { store, sinks: store, accepted: true });
    server.closed.catch(() => {});
    return wire;
  };
  const retry = { baseDelayMs: 0, maxDelayMs: 0 };
  const peer = new TensorPeer(connect, { retry });
  return { peer, wires, [Symbol.asyncDispose]: () => peer.close() };
}

export const memoryStoreSuite: Suite = ({ test }) => {
  test("memory store: holds what is set, lists what matches, forgets what is deleted", async () => {
    const store = new MemoryStore();
    const floats = Float32Array.of(1, 2, 3, 4);
    store.set(W, floats, { shape: [2, 2] });
    store.set(V, Uint8Array.of(7).buffer, { dtype: "BOOL", shape: [] });
    assert.equal(store.usedBytes, 17);
    assert.equal(store.get(W)?.bytes.buffer, floats.buffer, "nothing is copied");
    assert.deepEqual(store.get(W)?.descriptor, createDescriptor("F32", [2, 2]));
    for await (const entry of store.list(parsePattern("m/p/w"))) {
      const { descriptor, version } = store.get(W) ?? {};
      assert.deepEqual(entry as unknown, { address: W, descriptor, version });
      assert.deepEqual(await (await store.open(W)).version(), entry.version);
    }
    assert.deepEqual(await listed(store), ["m/p/w", "m/p/v"]);
    assert.deepEqual(await listed(store, "m/p/v"), ["m/p/v"]);
    assert.isTrue(store.delete(W));
    assert.isFalse(store.delete(W));
    assert.isUndefined(store.get(W));
    assert.deepEqual(await listed(store), ["m/p/v"]);
    assert.equal(store.usedBytes, 1);
    await assertRejects(() => store.open(W), NotFoundError, /Nothing lives at m\/p\/w/);
  });

  test("memory store: what is set again is a new version; what is open stays the old one", async () => {
    const store = new MemoryStore();
    store.set(W, Uint8Array.of(1, 2));
    store.set(V, Uint8Array.of(0));
    const before = await store.open(W);
    store.set(W, Uint8Array.of(3, 4, 5));
    const after = await store.open(W);
    assert.notDeepEqual(await before.version(), await after.version());
    const into = new Uint8Array(2);
    await before.read(0, into);
    assert.deepEqual([...into], [1, 2]);
    assert.deepEqual([...(await bytesAt(store))], [3, 4, 5]);
    assert.deepEqual(await listed(store), ["m/p/w", "m/p/v"], "it keeps its place");
    assert.equal(store.usedBytes, 4);
  });

  test("memory store: tells of every change that matches, after it has happened", async () => {
    const store = new MemoryStore();
    const changes = changesOf(store, "m/p/w");
    const seen: number[] = [];
    const end = store.watch(ALL, ({ address }) => {
      seen.push(store.get(address)?.bytes.byteLength ?? -1);
    });
    store.set(V, new Uint8Array(3));
    store.set(W, new Uint8Array(1));
    store.set(W, new Uint8Array(2));
    store.delete(W);
    store.delete(W);
    end();
    store.set(W, new Uint8Array(9));
    assert.deepEqual(seen, [3, 1, 2, -1]);
    assert.deepEqual(changes, ["changed m/p/w", "changed m/p/w", "gone m/p/w", "changed m/p/w"]);
  });

  test("memory store: refuses what is not in memory, and addresses that cannot be", () => {
    const store = new MemoryStore();
    const blob = new Blob() as unknown as Uint8Array;
    assert.throws(() => store.set(W, blob), TypeError, /typed array or an ArrayBuffer/);
    assert.throws(() => store.set({ ...W, model: "" }, new Uint8Array()), TypeError, /model/);
    assert.throws(() => store.set(W, new Uint8Array(3), { shape: [2] }), RangeError);
    assert.throws(() => new MemoryStore({ maxBytes: Number.NaN }), RangeError, /maxBytes/);
    assert.throws(() => new MemoryStore({ maxTensors: -1 }), RangeError, /maxTensors/);
  });

  test("memory store: a push is there when it is whole, and a peer can ask for it", async () => {
    const store = new MemoryStore();
    store.set(W, Uint8Array.of(1));
    const changes = changesOf(store);
    await using pushing = pusher(store);
    const { peer } = pushing;
    const tensor = { dtype: "U8", shape: [content.byteLength] } as const;
    const transfer = peer.streamTensor(W, new ByteSource(content, tensor));
    assert.equal(store.get(W)?.bytes.byteLength, 1);
    await transfer.done;
    assert.isTrue(sameBytes(store.get(W)?.bytes ?? new Uint8Array(), content));
    assert.deepEqual(changes, ["changed m/p/w"]);
    const back = await peer.requestTensor(W, { into: "memory" }).bytes();
    assert.isTrue(sameBytes(back, content));
    assert.equal(store.usedBytes, content.byteLength);
  });

  test("memory store: a push that is cut carries on from what was verified", async () => {
    const store = new MemoryStore();
    await using pushing = pusher(store, (dial) =>
      dial === 0 ? { cutAfterBytes: 4.5 * LEAF_BYTES } : {},
    );
    const { peer, wires } = pushing;
    const tensor = { dtype: "U8", shape: [content.byteLength] } as const;
    await peer.streamTensor(W, new ByteSource(content, tensor)).done;
    assert.isTrue(sameBytes(await bytesAt(store), content));
    assert.lengthOf(wires, 2);
    assert.isBelow(wires[1]?.writtenBytes ?? 0, 3.1 * LEAF_BYTES);
    assert.equal(store.usedBytes, content.byteLength);
  });

  test("memory store: of a new version only the leaves that differ travel", async () => {
    const store = new MemoryStore();
    await using pushing = pusher(store);
    const { peer, wires } = pushing;
    const tensor = { dtype: "U8", shape: [content.byteLength] } as const;
    const push = (bytes: Uint8Array) => peer.streamTensor(W, new ByteSource(bytes, tensor)).done;
    await push(content);
    const open = await store.open(W);
    const changes = changesOf(store);
    const before = wires[0]?.writtenBytes ?? 0;
    const next = content.slice();
    next[3 * LEAF_BYTES] = ~(next[3 * LEAF_BYTES] as number);
    await push(next);
    assert.isBelow((wires[0]?.writtenBytes ?? 0) - before, 1.1 * LEAF_BYTES);
    assert.isTrue(sameBytes(await bytesAt(store), next));
    const old = new Uint8Array(content.byteLength);
    await open.read(0, old);
    assert.isTrue(sameBytes(old, content), "what is open stays as it was");
    assert.deepEqual(changes, ["changed m/p/w"]);
    const version = store.get(W)?.version;
    await push(next.slice());
    assert.isBelow((wires[0]?.writtenBytes ?? 0) - before, 1.1 * LEAF_BYTES);
    assert.deepEqual(store.get(W)?.version, version, "the same again is no new version");
    assert.lengthOf(changes, 1);
    assert.equal(store.usedBytes, content.byteLength);
  });

  test("memory store: an attempt takes over what another has verified that is not over yet", async () => {
    const store = new MemoryStore();
    const descriptor = createDescriptor("U8", [3 * LEAF_BYTES]);
    const stuck = await store.accept(W, descriptor);
    await stuck.begin(VERSION, []);
    await fill(stuck, [0, 1]);
    const next = await store.accept(W, descriptor);
    const held = await next.held();
    assert.deepEqual(await leavesOf(next), [0, 1]);
    stuck.buffer?.(1); // it was damaged, say, and comes again
    const begin = () => next.begin(VERSION, held?.leaves ?? []);
    assert.isTrue((await assertRejects(begin, IntegrityError, /Leaf 1 is no longer/)).retryable);
    await next.begin(VERSION, held?.leaves.filter(({ index }) => index === 0) ?? []);
    stuck.buffer?.(0).fill(99);
    await fill(next, [1, 2]);
    await next.commit(undefined);
    await next.release();
    const bytes = store.get(W)?.bytes ?? new Uint8Array();
    assert.deepEqual([bytes[0], bytes[LEAF_BYTES], bytes[2 * LEAF_BYTES]], [1, 2, 3]);
    await stuck.release();
  });

  test("memory store: what another attempt has in whole is copied, as that may still write", async () => {
    const store = new MemoryStore();
    const descriptor = createDescriptor("U8", [2 * LEAF_BYTES]);
    const stuck = await store.accept(W, descriptor);
    await stuck.begin(VERSION, []);
    await fill(stuck, [0, 1]);
    const next = await store.accept(W, descriptor);
    await next.begin(VERSION, (await next.held())?.leaves ?? []);
    await next.commit(undefined);
    stuck.buffer?.(0).fill(99);
    assert.equal(store.get(W)?.bytes[0], 1);
    await stuck.release();
    await next.release();
    const heldOf = async (dtype: "U8" | "I8") =>
      (await store.accept(W, createDescriptor(dtype, descriptor.shape))).held();
    assert.isUndefined(await heldOf("I8"), "it is another tensor");
    store.delete(W);
    assert.isUndefined(await heldOf("U8"), "all is forgotten");
  });

  test("memory store: a push that was released takes nothing more", async () => {
    const store = new MemoryStore();
    const descriptor = createDescriptor("U8", [2 * LEAF_BYTES]);
    const sink = await store.accept(W, descriptor);
    await sink.begin(VERSION, []);
    await fill(sink, [0]);
    await sink.release();
    await sink.release();
    await assertRejects(() => fill(sink, [1]), TypeError, /released/);
    assert.throws(() => sink.buffer?.(0), TypeError, /released/);
    assert.equal(store.usedBytes, 2 * LEAF_BYTES, "it is kept for the next attempt");
    const other = await store.accept(W, createDescriptor("I8", [2 * LEAF_BYTES]));
    assert.isUndefined(await other.held(), "which is not another tensor's");
    await other.release();
    assert.equal(store.usedBytes, 0);
  });

  test("memory store: believes no length beyond its cap, and no number of tensors", async () => {
    const store = new MemoryStore({ maxBytes: 10 * LEAF_BYTES, maxTensors: 3 });
    const leaves = (count: number) => createDescriptor("U8", [count * LEAF_BYTES]);
    const huge = () => store.accept(W, createDescriptor("U8", [2 ** 50]));
    const error = await assertRejects(huge, LimitError, /1125899906842624 bytes: 0 of 10485760/);
    assert.deepInclude(error, { retryable: false, address: "m/p/w" });
    store.set(V, new Uint8Array(4 * LEAF_BYTES));
    const push = await store.accept(W, leaves(6));
    const more = () => store.accept(parseAddress("m/p/x"), leaves(1));
    assert.isTrue((await assertRejects(more, LimitError, /no room for m\/p\/x/)).retryable);
    await push.release();
    await (await more()).release();
    store.set(parseAddress("m/p/y"), new Uint8Array());
    store.set(parseAddress("m/p/z"), new Uint8Array());
    const full = await assertRejects(more, LimitError, /3 of 3 tensors/);
    assert.isFalse(full.retryable);
    await (await store.accept(V, leaves(1))).release();
    store.set(W, new Uint8Array(20 * LEAF_BYTES)); // what is set is never refused
    assert.equal(store.usedBytes, 24 * LEAF_BYTES);
  });

  test("memory store: what was left of pushes gives way, the oldest first", async () => {
    const store = new MemoryStore({ maxBytes: 6 * LEAF_BYTES });
    const [a, b, c] = ["m/p/a", "m/p/b", "m/p/c"].map(parseAddress) as [
      typeof W,
      typeof W,
      typeof W,
    ];
    const descriptor = createDescriptor("U8", [3 * LEAF_BYTES]);
    for (const address of [a, b]) {
      const sink = await store.accept(address, descriptor);
      await sink.begin(VERSION, []);
      await fill(sink, [0, 2]);
      await sink.release();
    }
    assert.equal(store.usedBytes, 6 * LEAF_BYTES);
    const push = await store.accept(c, descriptor);
    assert.isUndefined(await push.held());
    const again = await store.accept(b, descriptor);
    assert.deepEqual(await leavesOf(again), [0, 2]);
    assert.equal(store.usedBytes, 6 * LEAF_BYTES);
    await again.release();
    store.delete(b);
    assert.equal(store.usedBytes, 3 * LEAF_BYTES, "nothing is kept of what is deleted");
    await push.release();
    assert.equal(store.usedBytes, 0);
  });
};
