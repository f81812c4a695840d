// What can be done to a transfer while it runs: priorities, pauses, cancelling, deadlines.
import { assert } from "chai";
import { deferred } from "../../lib/deferred.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../lib/session/peer_options.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import type { TransferProgress } from "../../lib/tensor/progress.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { turn } from "../transports/conformance.ts";
import { ManualClock, quiet, settle } from "./support/manual_clock.ts";
import { slowConnection } from "./support/slow_connection.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

/** A source that gives a leaf a turn, so that a transfer is seen to be under way. */
function slowSource(leaves: number): TestSource {
  const source = new TestSource(patterned(leaves * LEAF));
  source.onRead = () => turn();
  return source;
}

/** Two peers over a link that is slower than any source. */
function slowPair(there: TensorPeerOptions): [client: TensorPeer, server: TensorPeer] {
  const [near, far] = connectionPair();
  const server = new TensorPeer(slowConnection(far), { ...there, codecs: [], accepted: true });
  return [new TensorPeer(near), server];
}

const at = (tensor: string): TensorAddress => ({ ...WEIGHTS, tensor });

export const steeringSuite: Suite = ({ test }) => {
  test("steering: what is urgent overtakes bulk that began before it, however much is queued", async () => {
    const bulk = new TestSource(patterned(20 * LEAF));
    const urgent = new TestSource(patterned(64 * 1024));
    const store = storeOf([at("bulk"), bulk], [at("urgent"), urgent]);
    const [client, server] = slowPair({ store });
    const bulks = [0, 1, 2].map(() => client.requestTensor(at("bulk"), { into: "memory" }));
    while ((bulks[0]?.progress.bytes ?? 0) === 0) await turn();
    const before = server.sentBytes;
    const first = client.requestTensor(at("urgent"), { into: "memory", priority: 200 });
    await first.done;
    // Ahead of it may be what is under way, and the fragment and the chunks that were begun.
    assert.isBelow(server.sentBytes - before, 4 * LEAF);
    assert.isTrue(bulks.every((transfer) => transfer.status === "in_progress"));
    await Promise.all(bulks.map((transfer) => transfer.done));
    await client.close();
    await server.close();
  });

  test("steering: a priority may change while a transfer runs, from either end", async () => {
    for (const end of ["receiver", "sender"] as const) {
      const sources = [0, 1].map(() => new TestSource(patterned(12 * LEAF)));
      const store = storeOf(
        [at("a"), sources[0] as TestSource],
        [at("b"), sources[1] as TestSource],
      );
      const served: Transfer[] = [];
      const onTransfer = (transfer: Transfer) => void served.push(transfer);
      const [client, server] = slowPair({ store, onTransfer });
      const a = client.requestTensor(at("a"), { into: "memory" });
      const b = client.requestTensor(at("b"), { into: "memory" });
      while (b.progress.bytes < 2 * LEAF) await turn();
      const theirs = served.find(({ id }) => id === b.id) as Transfer;
      const [mine, other] = end === "receiver" ? [b, theirs] : [theirs, b];
      mine.priority = 255;
      assert.throws(() => {
        mine.priority = 256;
      }, RangeError);
      await b.done;
      assert.equal(other.priority, 255, "the other end knows");
      assert.isBelow(a.progress.bytes, 11 * LEAF, "the other one was left behind");
      await a.done;
      await client.close();
      await server.close();
    }
  });

  test("steering: either end pauses a transfer, its neighbour goes on, and resuming ends it whole", async () => {
    for (const end of ["receiver", "sender"] as const) {
      const source = slowSource(16);
      const other = new TestSource(patterned(8 * LEAF));
      const store = storeOf([at("a"), source], [at("b"), other]);
      const served: Transfer[] = [];
      const onTransfer = (transfer: Transfer) => void served.push(transfer);
      const [client, server] = peerPair({ store, codecs: [], onTransfer });
      const transfer = client.requestTensor(at("a"), { into: "memory" });
      while (transfer.progress.bytes === 0) await turn();
      const theirs = served[0] as Transfer;
      const one = end === "receiver" ? transfer : theirs;
      one.pause();
      assert.equal(one.phase, "paused");
      await quiet(() => client.receivedBytes);
      const heldBytes = transfer.progress.bytes;
      assert.isBelow(heldBytes, 16 * LEAF);
      assert.isTrue(transfer.isPaused && theirs.isPaused, "both ends know");
      const neighbour = client.requestTensor(at("b"), { into: "memory" });
      assert.isTrue(sameBytes(await neighbour.bytes(), other.bytes));
      assert.equal(transfer.progress.bytes, heldBytes);
      one.resume();
      assert.isTrue(sameBytes(await transfer.bytes(), source.bytes));
      await client.close();
      await server.close();
    }
  });

  test("steering: a paused transfer is not taken for a stalled one", async () => {
    const clock = new ManualClock();
    const source = slowSource(16);
    const [client, server] = peerPair(
      { store: storeOf([WEIGHTS, source]), clock, codecs: [] },
      { clock },
    );
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    while (transfer.progress.bytes === 0) await turn();
    transfer.pause();
    for (let waitedMs = 0; waitedMs < 300_000; waitedMs += 5_000) await clock.advance(5_000);
    assert.equal(transfer.status, "in_progress");
    transfer.resume();
    await transfer.done;
    await client.close();
    await server.close();
    await settle();
    assert.equal(clock.pending, 0);
  });

  test("steering: a reader that stops holds its own window and nobody else's", async () => {
    const bulk = patterned(48 * LEAF);
    const store = new MemoryStore();
    for (const name of ["a", "b", "c", "d", "e", "f"]) store.set(at(name), bulk);
    const limits = { connectionWindowBytes: 16 * LEAF, transferWindowBytes: 16 * LEAF };
    const [client, server] = peerPair({ store, codecs: [] }, { limits });
    const stopped = ["a", "b", "c", "d", "e"].map((name) => client.requestTensor(at(name)));
    const readers = stopped.map(({ readable }) => readable.getReader());
    for (const reader of readers) await reader.read();
    await quiet(() => client.receivedBytes);
    assert.isAtMost(client.heldBytes, 16 * LEAF);
    const memory = await client.requestTensor(at("f"), { into: "memory" }).bytes();
    assert.isTrue(sameBytes(memory, bulk));
    // A reader that does read gets on as well, beside five that do not.
    const reading = client.requestTensor(at("f"));
    let bytes = 0;
    const reader = reading.readable.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      bytes += next.value.byteLength;
    }
    assert.equal(bytes, bulk.byteLength);
    for (const one of readers) await one.cancel();
    await Promise.allSettled(stopped.map(({ done }) => done));
    await quiet(() => client.heldBytes + 1);
    assert.equal(client.heldBytes, 0, "what was cancelled holds nothing any more");
    await client.close();
    await server.close();
  });

  test("steering: progress is told while it changes, and at the end", async () => {
    const source = new TestSource(patterned(8 * LEAF));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    const seen: TransferProgress[] = [];
    const reader = transfer.watch({ intervalMs: 1 }).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      seen.push(next.value);
    }
    const bytes = seen.map((progress) => progress.bytes);
    assert.deepEqual(
      bytes,
      [...bytes].sort((a, b) => a - b),
    );
    assert.equal(seen.at(-1)?.bytes, 8 * LEAF);
    assert.equal(seen.at(-1)?.totalBytes, 8 * LEAF);
    await transfer.done;
    await client.close();
    await server.close();
  });

  test("steering: a deadline cancels a transfer at both ends, and leaves no timer once it is over", async () => {
    const clock = new ManualClock();
    const go = deferred<void>();
    const source = new TestSource(patterned(4 * LEAF));
    source.onRead = () => go.promise;
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]), clock }, { clock });
    const late = client.requestTensor(WEIGHTS, { into: "memory", deadlineMs: 1_000 });
    const reason = late.done.catch((error: unknown) => error);
    await clock.advance(1_000);
    const error = (await reason) as DOMException;
    assert.equal(error.name, "TimeoutError");
    assert.match(error.message, /within 1000 ms/);
    assert.equal(late.status, "cancelled");
    go.resolve();
    const intime = client.requestTensor(WEIGHTS, { into: "memory", deadlineMs: 60_000 });
    await intime.done;
    await client.close();
    await server.close();
    await settle();
    assert.equal(clock.pending, 0);
  });

  test("steering: whatever a signal's reason is, the other end sees a cancel", async () => {
    const served: Transfer[] = [];
    const onTransfer = (transfer: Transfer) => void served.push(transfer);
    const [client, server] = slowPair({
      store: storeOf([WEIGHTS, new TestSource(patterned(8 * LEAF))]),
      onTransfer,
    });
    const stop = new AbortController();
    const transfer = client.requestTensor(WEIGHTS, { into: "memory", signal: stop.signal });
    while (transfer.progress.bytes === 0) await turn();
    const reason = { because: "enough" };
    stop.abort(reason);
    assert.strictEqual(await transfer.done.catch((error: unknown) => error), reason);
    await served[0]?.done.catch(() => {});
    assert.equal(served[0]?.status, "cancelled");
    await client.close();
    await server.close();
  });

  test("steering: thousands of cancelled transfers leave nothing behind, and take no credit with them", async () => {
    const store = new MemoryStore();
    store.set(WEIGHTS, patterned(200 * 1024));
    const [near, far] = connectionPair();
    const server = new TensorPeer(far, { store, codecs: [], accepted: true });
    const client = new TensorPeer(near);
    let state = 1;
    const random = () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state / 2 ** 32;
    };
    for (let round = 0; round < 100; round++) {
      const transfers = Array.from({ length: 10 }, () =>
        client.requestTensor(WEIGHTS, { into: random() < 0.5 ? "memory" : "stream" }),
      );
      for (let turns = Math.floor(random() * 8); turns > 0; turns--) await turn();
      for (const transfer of transfers) transfer.cancel();
      await Promise.allSettled(transfers.map(({ done }) => done));
    }
    await client.requestTensor(WEIGHTS, { into: "memory" }).done;
    await quiet(() => client.heldBytes + 1);
    assert.equal(client.heldBytes, 0);
    assert.isEmpty(client.transfers);
    await quiet(() => server.transfers.length + 1);
    assert.isEmpty(server.transfers);
    await client.close();
    await server.close();
  });
};
