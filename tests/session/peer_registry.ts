// What can be looked at of peers and their transfers, and that it is true.
import { assert } from "chai";
import { TensorPeer } from "../../lib/session/peer.ts";
import { PeerRegistry, type TransferTotals } from "../../lib/session/peer_registry.ts";
import { Transfer } from "../../lib/session/transfer.ts";
import { TransferMeter } from "../../lib/session/transfer_meter.ts";
import { snapshotOf } from "../../lib/session/transfer_snapshot.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { turn } from "../transports/conformance.ts";
import { ManualClock } from "./support/manual_clock.ts";
import { cut, Place } from "./support/place.ts";
import { LEAF, storeOf, TestSource, tensorBytes, WEIGHTS } from "./support/tensors.ts";

const FAST = { baseDelayMs: 0, maxDelayMs: 0 };

function slowSource(leaves: number): TestSource {
  const source = new TestSource(tensorBytes(leaves * LEAF));
  source.onRead = () => turn();
  return source;
}

/** What these transfers report, summed up. */
function sumOf(
  transfers: readonly Transfer[],
): Omit<TransferTotals, "complete" | "failed" | "cancelled"> {
  const sum = { bytes: 0, chunks: 0, wireBytes: 0, rawBytes: 0, resumedBytes: 0, retries: 0 };
  for (const { progress } of transfers) {
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += progress[name];
  }
  return sum;
}

export const peerRegistrySuite: Suite = ({ test }) => {
  test("registry: says who is connected, how, and for how long the way there and back is", async () => {
    const registry = new PeerRegistry();
    const [near, far] = connectionPair();
    const there = { accepted: true, node: "gpu-1", role: "worker" };
    const server = new TensorPeer(far, { ...there, registry });
    const client = new TensorPeer(near, { node: "laptop", role: "coordinator", registry });
    assert.isUndefined(registry.peers[1]?.connection);
    await client.list();
    const [atServer, atClient] = registry.peers.map(({ connection }) => connection);
    assert.equal(atClient?.node, "gpu-1");
    assert.equal(atClient?.role, "worker");
    assert.equal(atClient?.transport, "memory");
    assert.isTrue(atClient?.hasDialled);
    assert.equal(atServer?.node, "laptop");
    assert.isFalse(atServer?.hasDialled);
    while (client.connection?.rttMs === undefined) await turn();
    assert.isAtLeast(client.connection.rttMs, 0);
    assert.equal(client.connection.sentBytes, client.sentBytes);
    const { sentBytes } = client;
    await client.close();
    await server.closed;
    assert.deepEqual(registry.peers, []);
    assert.isAtLeast(registry.totals().sentBytes, sentBytes);
  });

  test("registry: totals are the sums of what transfers report, to the byte, after cuts and cancels too", async () => {
    const [ours, theirs] = [new PeerRegistry(), new PeerRegistry()];
    const names = ["a", "b", "c"].map((tensor) => ({ ...WEIGHTS, tensor }));
    const store = storeOf(
      ...names.map((name) => [name, slowSource(6)] as [typeof name, TestSource]),
    );
    const served: Transfer[] = [];
    const onTransfer = (transfer: Transfer) => void served.push(transfer);
    const place = new Place({ store, registry: theirs, onTransfer });
    const client = new TensorPeer(place.connect, { registry: ours, retry: FAST });
    const asked = names.map((name) => client.requestTensor(name, { into: "memory" }));
    const [first, second, third] = asked as [Transfer, Transfer, Transfer];
    while (first.progress.bytes === 0) await turn();
    cut(place);
    while (second.progress.retries === 0 || second.progress.bytes < 2 * LEAF) await turn();
    // While they run as well.
    assert.deepInclude(ours.totals().in, sumOf(asked));
    third.cancel();
    assert.deepInclude(ours.totals().in, sumOf(asked), "in the very moment of its end");
    await Promise.allSettled(asked.map(({ done }) => done));
    await Promise.allSettled(served.map(({ done }) => done));
    const wanted = { ...sumOf(asked), complete: 2, failed: 0, cancelled: 1 };
    assert.deepEqual(ours.totals().in, wanted);
    assert.isAtLeast(wanted.retries, 2);
    const { complete, failed, cancelled, ...sums } = theirs.totals().out;
    assert.deepEqual(sums, sumOf(served));
    assert.equal(complete, 2);
    assert.equal(complete + failed + cancelled, served.length);
    await client.close();
    await place.close();
    assert.deepEqual(ours.totals().in, wanted);
  });

  test("registry: what compression saves is told", () => {
    const meter = new TransferMeter(new ManualClock());
    const id = new Uint8Array(16);
    const nothing = () => {};
    const controls = { abort: nothing, reprioritise: nothing, pause: nothing };
    const made = {
      id,
      address: WEIGHTS,
      direction: "out",
      priority: 50,
      meter,
      ...controls,
    } as const;
    const transfer = new Transfer(made);
    assert.isUndefined(snapshotOf(transfer).compressionRatio);
    meter.moved(250, 1000);
    meter.moved(250, 250);
    const { rawBytes, wireBytes, compressionRatio } = snapshotOf(transfer);
    assert.deepEqual([rawBytes, wireBytes, compressionRatio], [1250, 500, 2.5]);
    transfer.done.catch(nothing);
    transfer.settle("cancelled", new Error("enough"));
    meter.moved(250, 250);
    assert.equal(transfer.progress.wireBytes, 500, "what was reported at the end stays true");
  });

  test("registry: remembers the transfers that were over last, and no more of them than it may", async () => {
    const registry = new PeerRegistry({ maxRecent: 3 });
    const [near, far] = connectionPair();
    const store = storeOf([WEIGHTS, new TestSource(tensorBytes(1000))]);
    const theirs = new PeerRegistry();
    const server = new TensorPeer(far, { store, accepted: true, registry: theirs });
    const client = new TensorPeer(near, { registry });
    for (let n = 0; n < 3; n++) await client.requestTensor(WEIGHTS, { into: "memory" }).done;
    const missing = client.requestTensor({ ...WEIGHTS, tensor: "x" }, { into: "memory" });
    await missing.done.catch(() => {});
    assert.equal(registry.recent.length, 3);
    const last = registry.recent.at(-1);
    assert.equal(last?.id, missing.id);
    assert.equal(last?.status, "failed");
    assert.equal(last?.lastError?.code, "not_found");
    assert.equal(registry.totals().in.complete, 3);
    assert.equal(registry.totals().in.failed, 1);
    assert.equal(registry.totals().in.rawBytes, 3 * 1000);
    assert.equal(theirs.totals().out.rawBytes, 3 * 1000);
    assert.deepEqual(registry.transfers, []);
    await client.close();
    await server.closed;
  });

  test("registry: a transfer that tries again says why, and what stands still has no rate", async () => {
    const clock = new ManualClock();
    const source = slowSource(8);
    source.onRead = (byteOffset) => (byteOffset < 5 * LEAF ? turn() : new Promise(() => {}));
    const place = new Place({ store: storeOf([WEIGHTS, source]) });
    const client = new TensorPeer(place.connect, { clock, retry: FAST });
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    const moved = async (bytes: number) => {
      while (transfer.progress.bytes < bytes) await clock.advance(100);
    };
    await moved(LEAF);
    cut(place);
    while (transfer.progress.retries === 0) await clock.advance(100);
    await moved(3 * LEAF);
    const { lastError, bytesPerSecond, dtype } = snapshotOf(transfer);
    assert.equal(lastError?.code, "transport");
    assert.isTrue(lastError?.retryable);
    assert.isAbove(bytesPerSecond, 0);
    assert.equal(dtype, "U8");
    for (let ms = 0; ms < 12_000; ms += 500) {
      await clock.advance(500);
      void transfer.progress;
    }
    const still = snapshotOf(transfer);
    assert.equal(still.status, "in_progress");
    assert.equal(still.bytesPerSecond, 0);
    assert.isUndefined(still.etaMs);
    transfer.cancel();
    await transfer.done.catch(() => {});
    await client.close();
    await place.close();
  });
};
