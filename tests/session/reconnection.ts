// What a peer that comes again, or comes from elsewhere, may rely on.
import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { deferred } from "../../lib/deferred.ts";
import { type RemoteError, TransportError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { SinkStore } from "../../lib/tensor/sink.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { turn } from "../transports/conformance.ts";
import { quiet } from "./support/manual_clock.ts";
import { cut, Place } from "./support/place.ts";
import { HELLO, RawPeer } from "./support/raw_peer.ts";
import { LEAF, storeOf, TestSink, TestSource, WEIGHTS } from "./support/tensors.ts";

const FAST = { baseDelayMs: 0, maxDelayMs: 0 };

/** A connection whose near end can die without the far one's learning of it. */
function mortal(inner: Connection): Connection & { die: () => void } {
  const dead = new TransportError("the cable was pulled");
  let fail: (reason: unknown) => void = () => {};
  const closed = new Promise<void>((_, reject) => {
    fail = reject;
  });
  closed.catch(() => {});
  let reading: ReadableStreamDefaultController<Uint8Array>;
  const readable = new ReadableStream<Uint8Array>({
    start: (controller) => {
      reading = controller;
    },
  });
  const reader = inner.readable.getReader();
  const pump = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      reading.enqueue(next.value);
    }
  };
  pump().catch(() => {});
  const writer = inner.writable.getWriter();
  let isDead = false;
  const writable = new WritableStream<Uint8Array>({
    write: (bytes) => (isDead ? Promise.reject(dead) : writer.write(bytes.slice())),
    close: () => writer.close(),
  });
  const die = () => {
    isDead = true;
    reading.error(dead);
    fail(dead);
  };
  return { remote: inner.remote, readable, writable, closed, close: die, die };
}

/** Counts how often somebody is dialled. */
function counted(dial: () => Promise<Connection>) {
  const counted = {
    count: 0,
    connect: () => {
      counted.count++;
      return dial();
    },
  };
  return counted;
}

function slowSource(leaves: number): TestSource {
  const source = new TestSource(patterned(leaves * LEAF));
  source.onRead = () => turn();
  return source;
}

export const reconnectionSuite: Suite = ({ test }) => {
  test("reconnection: a server that restarted and forgot everything goes on where the client is", async () => {
    const source = slowSource(20);
    const options = { store: storeOf([WEIGHTS, source]), codecs: [] };
    let place = new Place(options);
    const client = new TensorPeer(() => place.connect(), { retry: FAST });
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    while (transfer.progress.bytes < 6 * LEAF) await turn();
    const before = place;
    place = new Place(options); // at another address, without a memory of the first
    cut(before);
    assert.isTrue(sameBytes(await transfer.bytes(), source.bytes));
    assert.equal(transfer.progress.retries, 1);
    assert.isBelow(source.readBytes, 36 * LEAF, "the first six leaves were not read again");
    await client.close();
    await before.close();
    await place.close();
  });

  test("reconnection: an older connection that only looks alive is ended before a newer is answered", async () => {
    const bytes = patterned(12 * LEAF);
    const written: string[] = [];
    const sinks: (TestSink & { name: string })[] = [];
    const store: SinkStore = {
      async accept(_address, descriptor) {
        const sink = Object.assign(new TestSink(descriptor), { name: `sink ${sinks.length}` });
        sink.onWrite = async () => {
          await turn();
          written.push(sink.name);
        };
        sinks.push(sink);
        return sink;
      },
    };
    const place = new Place({ sinks: store });
    const links: ReturnType<typeof mortal>[] = [];
    const connect = async () => {
      const near = mortal(await place.connect());
      links.push(near);
      return near;
    };
    const client = new TensorPeer(connect, { codecs: [], retry: FAST });
    const transfer = client.streamTensor(WEIGHTS, new TestSource(bytes));
    while (written.length < 3) await turn();
    // The client's end dies without the server's being told: as far as it knows, the link lives.
    let wasEnded = false;
    place.accepted[0]?.closed.catch(() => {
      wasEnded = true;
    });
    links[0]?.die();
    await transfer.done;
    assert.isTrue(wasEnded, "the older connection was ended");
    assert.lengthOf(sinks, 2);
    assert.equal(sinks[0]?.released, 1);
    // Not one write of the first attempt came after the first of the second.
    const second = written.indexOf("sink 1");
    assert.notInclude(written.slice(second), "sink 0");
    assert.isTrue(sameBytes(sinks[1]?.bytes ?? new Uint8Array(), bytes));
    await client.close();
    await place.close();
  });

  test("reconnection: a newer attempt opens no sink before the older one's last write is over", async () => {
    const gate = deferred<void>();
    const opened: TestSink[] = [];
    const releasing = deferred<void>();
    const store: SinkStore = {
      async accept(_address, descriptor) {
        const sink = new TestSink(descriptor);
        const isFirst = opened.push(sink) === 1;
        if (!isFirst) return sink;
        sink.onWrite = () => gate.promise;
        sink.release = async () => {
          releasing.resolve();
          await gate.promise;
        };
        return sink;
      },
    };
    const place = new Place({ sinks: store });
    const dialled = counted(place.connect);
    const client = new TensorPeer(dialled.connect, { codecs: [], retry: FAST });
    const source = new TestSource(patterned(4 * LEAF));
    const transfer = client.streamTensor(WEIGHTS, source);
    while (opened.length === 0) await turn();
    cut(place);
    await releasing.promise;
    while (dialled.count < 2) await turn();
    await quiet(() => opened.length);
    assert.lengthOf(opened, 1, "the older attempt's write may still land");
    gate.resolve();
    await transfer.done;
    assert.lengthOf(opened, 2);
    await client.close();
    await place.close();
  });

  test("reconnection: an attempt that is not newer than the one under way is stale", async () => {
    const source = slowSource(30);
    const place = new Place({ store: storeOf([WEIGHTS, source]), codecs: [] });
    const request = {
      id: new Uint8Array(16).fill(1),
      epoch: 3,
      address: WEIGHTS,
      priority: 50,
      digest: "sha256" as const,
    };
    const one = new RawPeer(await place.connect());
    await one.greet();
    await one.message("request", 1, request);
    await one.next(FRAME.offer);
    const two = new RawPeer(await place.connect());
    await two.greet({ instance: new Uint8Array(16).fill(9) });
    await two.message("request", 1, request);
    assert.deepInclude(await two.fault(), { code: "stale_epoch", retryable: false });
    await two.message("request", 3, { ...request, epoch: 4 });
    await two.next(FRAME.offer);
    assert.deepInclude(await one.fault(), { code: "stale_epoch", retryable: false });
    one.close();
    two.close();
    await place.close();
  });

  test("reconnection: a newer connection of the same instance takes the place of the older", async () => {
    const place = new Place({ store: new MemoryStore() });
    const one = new RawPeer(await place.connect());
    await one.greet();
    await one.nextMessage("hello");
    const two = new RawPeer(await place.connect());
    await two.greet();
    await two.nextMessage("hello");
    await one.ended;
    assert.lengthOf(place.host.peers, 1);
    const other = new RawPeer(await place.connect());
    await other.greet({ ...HELLO, instance: new Uint8Array(16).fill(3) });
    await other.nextMessage("hello");
    assert.lengthOf(place.host.peers, 2);
    two.close();
    other.close();
    await place.close();
  });

  test("reconnection: two ends that dial each other at once both get what they asked for", async () => {
    const stores = [new MemoryStore(), new MemoryStore()] as const;
    for (const [n, store] of stores.entries())
      store.set(WEIGHTS, new Float32Array(2 * LEAF).fill(n));
    const places = stores.map((store) => new Place({ store }));
    const peers = places.map((_, n) => new TensorPeer(() => (places[1 - n] as Place).connect()));
    const arrays = await Promise.all(
      peers.map((peer) => peer.requestTensor(WEIGHTS, { into: "memory" }).tensor()),
    );
    assert.deepEqual(
      arrays.map((array) => array[0]),
      [1, 0],
    );
    for (const peer of peers) await peer.close();
    for (const place of places) await place.close();
  });

  test("reconnection: pushes, listings and request lists that are cut go on by themselves too", async () => {
    const store = new MemoryStore();
    const addresses = Array.from({ length: 3_000 }, (_, n) => ({ ...WEIGHTS, tensor: `s.${n}` }));
    for (const address of addresses) store.set(address, patterned(2_000));
    const sinks = new MemoryStore();
    const place = new Place({ store, sinks, codecs: [] });
    const client = new TensorPeer(place.connect, { retry: FAST, codecs: [] });
    let count = 0;
    for await (const { bytes } of client.requestTensors(addresses)) {
      assert.equal(bytes.byteLength, 2_000);
      if (++count === 100 || count === 1_500) cut(place);
    }
    assert.equal(count, addresses.length);
    const push = client.streamTensor(WEIGHTS, slowSource(8));
    while (push.progress.bytes < 2 * LEAF) await turn();
    cut(place);
    await push.done;
    assert.isTrue(sameBytes(sinks.get(WEIGHTS)?.bytes ?? new Uint8Array(), patterned(8 * LEAF)));
    const listing = client.list("m");
    cut(place);
    assert.lengthOf(await listing, 3_000);
    await client.close();
    await place.close();
  });

  test("reconnection: a stream that cannot be rewound survives a cut, of known and unknown length", async () => {
    for (const openEnded of [false, true]) {
      const bytes = patterned(12 * LEAF + 100);
      let at = 0;
      const stream = new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            await turn();
            const next = bytes.subarray(at, at + 300_000);
            at += next.byteLength;
            if (next.byteLength > 0) controller.enqueue(next);
            else controller.close();
          },
        },
        { highWaterMark: 0 },
      );
      const sinks = new MemoryStore();
      const place = new Place({ sinks });
      const client = new TensorPeer(place.connect, { retry: FAST, codecs: [] });
      const shape = [openEnded ? Number.POSITIVE_INFINITY : bytes.byteLength];
      const options = { dtype: "U8", shape, openEnded, replayBytes: 8 * LEAF } as const;
      const transfer = client.streamTensor(WEIGHTS, stream, options);
      for (let cuts = 1; cuts <= 3; cuts++) {
        while (transfer.progress.bytes < cuts * 3 * LEAF) await turn();
        cut(place);
      }
      await transfer.done;
      const stored = sinks.get(WEIGHTS);
      assert.isTrue(sameBytes(stored?.bytes ?? new Uint8Array(), bytes));
      assert.deepEqual(stored?.descriptor.shape, [bytes.byteLength]);
      assert.equal(transfer.progress.retries, 3);
      await client.close();
      await place.close();
    }
  });

  test("reconnection: a receiver that lost what it had acknowledged ends such a stream for good", async () => {
    const bytes = patterned(12 * LEAF);
    let at = 0;
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await turn();
        controller.enqueue(bytes.subarray(at, at + LEAF));
        at += LEAF;
        if (at === bytes.byteLength) controller.close();
      },
    });
    const first = new Place({ sinks: new MemoryStore() });
    const second = new Place({ sinks: new MemoryStore() });
    let place = first;
    const client = new TensorPeer(() => place.connect(), { retry: FAST, codecs: [] });
    const options = { dtype: "U8", shape: [bytes.byteLength], replayBytes: 8 * LEAF } as const;
    const transfer = client.streamTensor(WEIGHTS, stream, options);
    while (transfer.progress.bytes < 3 * LEAF) await turn();
    place = second;
    cut(first);
    const error = await assertRejects(() => transfer.done, Error, /let go|rewound|acknowledged/);
    assert.include(["source_not_rewindable", "remote"], (error as RemoteError).code);
    await client.close();
    await quiet(() => first.host.peers.length + 1);
    await first.close();
    await second.close();
  });
};
