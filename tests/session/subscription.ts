import { assert } from "chai";
import { LimitError, NotFoundError, TransportError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorChange } from "../../lib/session/subscription.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { quiet, settle } from "./support/manual_clock.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

const at = (tensor: string): TensorAddress => ({ ...WEIGHTS, tensor });
const FAST = { baseDelayMs: 0, maxDelayMs: 0 };

async function take(changes: AsyncIterator<TensorChange>, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const { value } = await changes.next();
    taken.push(`${value.kind} ${value.address.tensor}`);
  }
  return taken;
}

export const subscriptionSuite: Suite = ({ test }) => {
  test("subscription: tells what is there, what changes and what goes, of what matches", async () => {
    const store = new MemoryStore();
    store.set(at("w.0"), patterned(10));
    const [client, server] = peerPair({ store });
    const subscription = client.subscribe("m/default/w.*", { initial: true });
    const changes = subscription[Symbol.asyncIterator]();
    assert.deepEqual(await take(changes, 1), ["here w.0"]);
    store.set(at("other"), patterned(10));
    store.set(at("w.1"), patterned(10));
    assert.deepEqual(await take(changes, 1), ["changed w.1"]);
    store.set(at("w.0"), patterned(20));
    assert.deepEqual(await take(changes, 1), ["changed w.0"]);
    store.delete(at("w.1"));
    assert.deepEqual(await take(changes, 1), ["gone w.1"]);
    await subscription.close();
    assert.isTrue((await changes.next()).done);
    await client.close();
    await server.close();
  });

  test("subscription: a store that cannot be watched refuses it, and all else goes on", async () => {
    const inner = new MemoryStore();
    inner.set(at("w"), patterned(10));
    const store = {
      list: inner.list.bind(inner),
      open: inner.open.bind(inner),
      watch: () => {
        throw new LimitError("no more watchers");
      },
    };
    const [client, server] = peerPair({ store });
    const subscription = client.subscribe("m");
    const pull = client.requestTensor(at("w"), { into: "memory" });
    await assertRejects(() => subscription.ready, LimitError, /no more watchers/);
    assert.isTrue(sameBytes(await pull.bytes(), patterned(10)));
    await client.close();
    await server.close();
  });

  test("subscription: a new version is fetched at once, and an older one gives way to it", async () => {
    const store = new MemoryStore();
    const [client, server] = peerPair({ store, codecs: [] });
    const subscription = client.subscribe("m", { fetch: { into: "memory" } });
    await subscription.ready;
    const versions = [1, 2, 3].map((n) => new Float32Array(4 * LEAF).fill(n));
    let last: TensorChange | undefined;
    const seen = (async () => {
      for await (const change of subscription) {
        last = change;
        const array = await change.transfer?.tensor().catch(() => undefined);
        if (array?.[0] === 3) break;
        assert.notEqual(change.transfer?.status, "in_progress");
      }
    })();
    for (const version of versions) {
      store.set(WEIGHTS, version);
      await settle();
    }
    await seen;
    assert.equal(last?.transfer?.status, "complete");
    await client.close();
    await server.close();
  });

  test("subscription: of one address only the newest change waits, however often it changes", async () => {
    const store = new MemoryStore();
    const [client, server] = peerPair({ store });
    const subscription = client.subscribe("m");
    await subscription.ready;
    for (let n = 0; n < 1_000; n++) store.set(WEIGHTS, new Uint32Array([n]));
    await quiet(() => client.receivedBytes);
    const sentBytes = server.sentBytes;
    assert.isBelow(sentBytes, 64 * 1024);
    const changes = subscription[Symbol.asyncIterator]();
    const { value } = await changes.next();
    assert.deepEqual(value?.version, store.get(WEIGHTS)?.version);
    await subscription.close();
    await client.close();
    await server.close();
  });

  test("subscription: outlives a cut, and tells afterwards what changed meanwhile, once", async () => {
    const store = new MemoryStore();
    for (const name of ["same", "changes", "goes"]) store.set(at(name), patterned(10));
    const servers: TensorPeer[] = [];
    const connect = async () => {
      const [near, far] = connectionPair();
      servers.push(new TensorPeer(far, { store, accepted: true }));
      return near;
    };
    const client = new TensorPeer(connect, { retry: FAST });
    const subscription = client.subscribe("m", { initial: true });
    const changes = subscription[Symbol.asyncIterator]();
    assert.sameMembers(await take(changes, 3), ["here same", "here changes", "here goes"]);
    servers[0]?.destroy(new TransportError("cut"));
    store.set(at("changes"), patterned(11));
    assert.deepEqual(await take(changes, 1), ["here changes"]);
    assert.lengthOf(servers, 2);
    await subscription.close();
    await client.close();
    await servers[1]?.close();
  });

  test("subscription: a store that cannot tell refuses, and a push into a store is told of", async () => {
    const source = new TestSource(patterned(10));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    const subscription = client.subscribe("m");
    await assertRejects(
      () => subscription[Symbol.asyncIterator]().next(),
      NotFoundError,
      /does not tell what changes/,
    );
    await client.close();
    await server.close();
    const store = new MemoryStore();
    const [one, two] = peerPair({ store, sinks: store });
    const pushed = one.subscribe("m");
    await pushed.ready;
    await one.streamTensor(WEIGHTS, patterned(LEAF)).done;
    assert.deepEqual(await take(pushed[Symbol.asyncIterator](), 1), ["changed w"]);
    assert.isTrue(sameBytes(store.get(WEIGHTS)?.bytes ?? new Uint8Array(), patterned(LEAF)));
    await one.close();
    await two.close();
  });

  test("subscription: an abort ends it with the signal's reason, and the peer's end ends it too", async () => {
    const store = new MemoryStore();
    const [client, server] = peerPair({ store });
    const stop = new AbortController();
    const reason = new Error("enough");
    const one = client.subscribe("m", { signal: stop.signal });
    const next = one[Symbol.asyncIterator]().next();
    stop.abort(reason);
    assert.strictEqual(await next.catch((error: unknown) => error), reason);
    const two = client.subscribe("m");
    const over = two[Symbol.asyncIterator]().next();
    await client.close();
    assert.isTrue((await over).done);
    await server.close();
  });
};
