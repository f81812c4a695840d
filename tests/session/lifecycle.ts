import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { deferred } from "../../lib/deferred.ts";
import { LimitError, ProtocolError, RemoteError, TransportError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { tensorRoot } from "../../lib/tensor/root.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { turn } from "../transports/conformance.ts";
import { ManualClock, quiet, settle } from "./support/manual_clock.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { LEAF, storeOf, TestSink, TestSource, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

export const lifecycleSuite: Suite = ({ test }) => {
  test("session: a reader that stops holds the sender at its window", async () => {
    const source = new TestSource(patterned(40 * LEAF));
    const [near, far] = connectionPair();
    const server = new TensorPeer(far, { store: storeOf([WEIGHTS, source]), accepted: true });
    const client = new TensorPeer(near);
    const transfer = client.requestTensor(WEIGHTS, { into: "stream" });
    const reader = transfer.readable.getReader();
    await reader.read();
    await quiet(() => source.readBytes);
    assert.isAtMost(source.readBytes, 13 * LEAF);
    assert.isBelow(server.sentBytes, 11 * LEAF);
    const reason = new Error("seen enough");
    await reader.cancel(reason);
    assert.strictEqual(await transfer.done.catch((error: unknown) => error), reason);
    await quiet(() => source.closed);
    assert.equal(source.closed, 1);
    await client.close();
    await server.close();
  });

  test("session: an abort ends a transfer at both ends, whenever it comes, by its own reason", async () => {
    for (const when of ["before", "dialling", "moving"]) {
      const source = new TestSource(patterned(4 * LEAF));
      const stop = new AbortController();
      const reason = { why: "changed my mind" };
      let reached: () => void = () => {};
      const there = new Promise<void>((resolve) => {
        reached = resolve;
      });
      source.onRead = (at) => {
        if (at === 2 * LEAF) reached();
      };
      const [near, far] = connectionPair();
      const server = new TensorPeer(far, { store: storeOf([WEIGHTS, source]), accepted: true });
      server.closed.catch(() => {});
      const dialled = new Promise<Connection>((resolve) => {
        if (when === "dialling") reached();
        else resolve(near);
      });
      const clock = new ManualClock();
      const client = new TensorPeer(() => dialled, { clock });
      let sink: TestSink | undefined;
      if (when === "before") stop.abort(reason);
      const transfer = client.requestTensor(WEIGHTS, {
        signal: stop.signal,
        into: (offer) => {
          sink = new TestSink(offer.descriptor);
          return sink;
        },
      });
      if (when !== "before") await there;
      stop.abort(reason);
      assert.strictEqual(await transfer.done.catch((error: unknown) => error), reason, when);
      assert.equal(transfer.status, "cancelled");
      assert.isEmpty(client.transfers);
      for (let i = 0; i < 10; i++) await settle();
      assert.equal(source.opened, source.closed);
      assert.equal(sink?.released ?? 1, 1);
      await client.close();
      await server.close();
      await settle();
      assert.equal(clock.pending, 0);
    }
  });

  test("session: either end cancels, and the other sees it as cancelled", async () => {
    for (const who of ["client", "server"]) {
      const source = new TestSource(patterned(4 * LEAF));
      const [near, far] = connectionPair();
      const server = new TensorPeer(far, { store: storeOf([WEIGHTS, source]), accepted: true });
      const client = new TensorPeer(near);
      source.onRead = async (at) => {
        if (at !== 2 * LEAF) return;
        const [transfer] = who === "client" ? client.transfers : server.transfers;
        transfer?.cancel();
        await settle();
      };
      let seen: TensorPeer["transfers"] = [];
      const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
      await quiet(() => server.transfers.length + source.closed);
      seen = server.transfers;
      const error = await transfer.done.catch((reason: Error) => reason);
      if (who === "client") assert.equal((error as Error).name, "AbortError");
      else assert.instanceOf(error, RemoteError);
      assert.equal(transfer.status, "cancelled");
      assert.isEmpty(seen);
      await quiet(() => source.closed);
      assert.equal(source.closed, source.opened);
      await client.close();
      await server.close();
    }
  });

  test("session: closing a peer leaves no timer, and dials nothing any more", async () => {
    const clock = new ManualClock();
    let dials = 0;
    const connect = async () => {
      dials++;
      throw new TransportError("nobody there");
    };
    {
      await using client = new TensorPeer(connect, { clock, retry: { maxRetries: "unlimited" } });
      const transfer = client.requestTensor(WEIGHTS);
      transfer.readable.getReader().closed.catch(() => {});
      transfer.done.catch(() => {});
      const listing = client.list("m").catch((error: Error) => error.name);
      await clock.advance(10_000);
      assert.isAbove(dials, 3);
      await client.close();
      assert.equal(await listing, "AbortError");
      assert.equal(transfer.status, "cancelled");
    }
    await settle();
    assert.equal(clock.pending, 0);
    const before = dials;
    await clock.advance(60_000);
    assert.equal(dials, before);
  });

  test("session: nobody is dialled for a transfer or a listing that is given up", async () => {
    const clock = new ManualClock();
    let dials = 0;
    const connect = async () => {
      dials++;
      throw new TransportError("nobody there");
    };
    const client = new TensorPeer(connect, { clock, retry: { maxRetries: "unlimited" } });
    const stop = new AbortController();
    const reason = new Error("enough");
    const { signal } = stop;
    const transfer = client.requestTensor(WEIGHTS, { into: "memory", signal });
    const listing = client.list("m", { signal }).catch((error: unknown) => error);
    await clock.advance(3_000);
    stop.abort(reason);
    assert.strictEqual(await transfer.done.catch((error: unknown) => error), reason);
    assert.strictEqual(await listing, reason);
    await settle();
    assert.equal(clock.pending, 0);
    const before = dials;
    await clock.advance(60_000);
    assert.equal(dials, before);
    await client.close();
  });

  test("session: lists by wildcard, in the store's order, over many pages, with roots", async () => {
    const entries = Array.from({ length: 3000 }, (_, n) => {
      const address = { model: `m${n % 3}`, partition: "default", tensor: `layer.${n}.weight` };
      return [address, new TestSource(patterned(n % 7))] as [TensorAddress, TestSource];
    });
    const [near, far] = connectionPair();
    const server = new TensorPeer(far, { store: storeOf(...entries), accepted: true });
    const client = new TensorPeer(near);
    const all = await client.list();
    assert.deepEqual(
      all.map(({ address }) => address),
      entries.map(([address]) => address),
    );
    const some = await client.list("m1/default/layer.1*", { roots: true });
    const wanted = entries.filter(
      ([{ model, tensor }]) => model === "m1" && tensor.startsWith("layer.1"),
    );
    assert.lengthOf(some, wanted.length);
    for (const [n, { address, root, descriptor }] of some.entries()) {
      const [at, source] = wanted[n] as [TensorAddress, TestSource];
      assert.deepEqual(address, at);
      const digests = source.bytes.byteLength > 0 ? [await sha256([source.bytes])] : [];
      assert.deepEqual(root, await tensorRoot(descriptor, digests, sha256));
      assert.equal(source.opened, source.closed);
    }
    assert.isEmpty(await client.list("nothing"));
    await client.close();
    await server.close();
  });

  test("session: more streams than a connection may hold are refused for a while, not for ever", async () => {
    const sources = Array.from({ length: 6 }, (_, n) => {
      const address = { ...WEIGHTS, tensor: `t${n}` };
      return [address, new TestSource(patterned(1000 + n))] as [TensorAddress, TestSource];
    });
    const limits = { maxTransfers: 2 };
    const store = storeOf(...sources);
    const [near, far] = connectionPair();
    const server = new TensorPeer(far, { store, limits, accepted: true });
    const raw = new RawPeer(near);
    await raw.greet();
    for (const [n, [address]] of sources.entries()) {
      const id = new Uint8Array(16).fill(n);
      const request = { id, epoch: 0, address, priority: 50, digest: "sha256" as const };
      await raw.message("request", 2 * n + 1, request);
    }
    for (let n = 2; n < 6; n++) {
      const fault = await raw.fault();
      assert.equal(fault.code, "limit");
      assert.isTrue(fault.retryable);
    }
    raw.close();
    await server.closed.catch(() => {});
  });

  test("session: a push that is given up while leaves are compared gives its place to the next", async () => {
    const sinks = new MemoryStore();
    const [client, server] = peerPair({ sinks, limits: { maxTransfers: 2 } });
    await client.streamTensor(WEIGHTS, patterned(4 * LEAF)).done;
    for (let times = 1; times <= 3; times++) {
      const reading = deferred<void>();
      const source = new TestSource(patterned(4 * LEAF), times + 1);
      source.onRead = () => {
        reading.resolve();
        return new Promise(() => {});
      };
      const push = client.streamTensor(WEIGHTS, source);
      await reading.promise;
      push.cancel();
      await assertRejects(() => push.done, Error, /./);
      while (server.transfers.length > 0) await turn();
    }
    await client.streamTensor(WEIGHTS, patterned(5 * LEAF)).done;
    await client.close();
    await server.close();
  });

  test("session: a transfer that is cancelled as soon as it is told of gives its place to the next", async () => {
    const sinks = new MemoryStore();
    let isRefused = true;
    const onTransfer = (transfer: Transfer) => {
      if (isRefused) transfer.cancel(new Error("not today"));
    };
    const limits = { maxTransfers: 2 };
    const [client, server] = peerPair({ sinks, store: sinks, onTransfer, limits });
    const large = () => client.streamTensor(WEIGHTS, patterned(4 * LEAF));
    const small = () => client.streamTensor(WEIGHTS, patterned(100));
    const pull = () => client.requestTensor(WEIGHTS, { into: "memory" });
    for (const begin of [large, small, pull, large, small, pull]) {
      await assertRejects(() => begin().done, RemoteError, /cancelled/);
      await settle(); // the server lets go of what it opened
    }
    isRefused = false;
    await large().done;
    await client.close();
    await server.close();
  });

  test("session: receivers' frames that cannot be end the connection with a typed error", async () => {
    const source = new TestSource(patterned(2 * LEAF));
    const cases: [(raw: RawPeer) => Promise<void>, RegExp][] = [
      [(raw) => raw.message("receipt", 1, { complete: true }), /before it accepted/],
      [(raw) => raw.chunk(1, 0, new Uint8Array(10)), /chunk that nobody asked for/],
      [(raw) => raw.message("goodbye", 1, {}), /on stream 1/],
    ];
    for (const [say, message] of cases) {
      const [near, far] = connectionPair();
      const server = new TensorPeer(far, { store: storeOf([WEIGHTS, source]), accepted: true });
      server.closed.catch(() => {});
      const raw = new RawPeer(near);
      await raw.greet();
      const id = new Uint8Array(16);
      await raw.message("request", 1, {
        id,
        epoch: 0,
        address: WEIGHTS,
        priority: 0,
        digest: "none",
      });
      await raw.next(FRAME.offer);
      await say(raw);
      await assertRejects(() => server.closed, ProtocolError, message);
      assert.match((await raw.fault()).message, message);
      await settle();
      assert.equal(source.opened, source.closed);
    }
  });

  test("host: a thousand silent connections leave a transfer untouched and let a new peer in", async () => {
    const clock = new ManualClock();
    const source = new TestSource(patterned(6 * LEAF));
    const store = storeOf([WEIGHTS, source]);
    let arrive: (connection: Connection) => void = () => {};
    const connections = new ReadableStream<Connection>({
      start: (controller) => {
        arrive = (connection) => controller.enqueue(connection);
      },
    });
    const ends: unknown[] = [];
    const host = new PeerHost(connections, {
      peer: () => ({ store, clock }),
      maxSilentConnections: 8,
      onEnd: (_peer, _connection, error) => ends.push(error),
    });
    const dial = async () => {
      const [near, far] = connectionPair({ bufferBytes: 4096 });
      arrive(far);
      return near;
    };
    const client = new TensorPeer(dial);
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    source.onRead = async (at) => {
      if (at !== LEAF) return;
      for (let n = 0; n < 1000; n++) await dial();
      await settle();
    };
    assert.isTrue(sameBytes(await transfer.bytes(), source.bytes));
    assert.isAtMost(host.peers.length, 9);
    assert.lengthOf(ends, 992);
    for (const error of ends) assert.instanceOf(error, LimitError);
    const late = new TensorPeer(dial);
    assert.lengthOf(await late.list(), 1);
    await clock.advance(5_000);
    assert.lengthOf(host.peers, 2);
    await client.close();
    await late.close();
    await host.close();
  });

  test("host: options that cannot be made for one connection do not end the service", async () => {
    let arrive: (connection: Connection) => void = () => {};
    const connections = new ReadableStream<Connection>({
      start: (controller) => {
        arrive = (connection) => controller.enqueue(connection);
      },
    });
    let asked = 0;
    const host = new PeerHost(connections, {
      peer: () => {
        if (asked++ === 0) throw new Error("no options today");
        return { store: storeOf() };
      },
    });
    const dial = async () => {
      const [near, far] = connectionPair();
      arrive(far);
      return near;
    };
    const first = await dial();
    await first.closed.catch(() => {});
    const client = new TensorPeer(dial);
    assert.isEmpty(await client.list());
    await client.close();
    await host.close();
  });
};
