import { assert } from "chai";
import { deflate } from "../../lib/codec/deflate.ts";
import type { Connect } from "../../lib/connection.ts";
import { IntegrityError, RetryExhaustedError, TransportError } from "../../lib/errors.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorPeerOptions } from "../../lib/session/peer_options.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import type { SinkStore } from "../../lib/tensor/sink.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { type Faults, FaultyConnection, seeded } from "./support/faulty_connection.ts";
import { ManualClock, settle } from "./support/manual_clock.ts";
import { LEAF, storeOf, TestSink, TestSource, WEIGHTS } from "./support/tensors.ts";

const FAST = { baseDelayMs: 0, maxDelayMs: 0 };

interface Dialled {
  readonly connect: Connect;
  readonly servers: TensorPeer[];
  readonly wires: FaultyConnection[];
  close(): Promise<void>;
}

/** A server that is dialled anew after each fault on what it sends. */
function serving(options: TensorPeerOptions, faultsOf: (dial: number) => Faults): Dialled {
  const servers: TensorPeer[] = [];
  const wires: FaultyConnection[] = [];
  return {
    servers,
    wires,
    connect: async () => {
      const [near, far] = connectionPair();
      const wire = new FaultyConnection(far, faultsOf(wires.length));
      wires.push(wire);
      const server = new TensorPeer(wire, { ...options, accepted: true });
      server.closed.catch(() => {});
      servers.push(server);
      return near;
    },
    close: async () => {
      for (const server of servers) await server.close();
    },
  };
}

const failureOf = (transfer: Transfer): Promise<unknown> =>
  transfer.done.then(
    () => assert.fail("the transfer went through"),
    (error: unknown) => error,
  );

export const recoverySuite: Suite = ({ test }) => {
  for (const into of ["memory", "stream"] as const) {
    test(`recovery: fifty cuts at random places end in the same bytes, into ${into}`, async () => {
      const source = new TestSource(patterned(30 * LEAF + 99));
      const random = seeded(7);
      const faults = (dial: number) =>
        dial < 50 ? { cutAfterBytes: Math.floor(random() * 1.5 * LEAF) + 1 } : {};
      const server = serving({ store: storeOf([WEIGHTS, source]) }, faults);
      const retry = { ...FAST, maxRetries: "unlimited" as const };
      const client = new TensorPeer(server.connect, { retry });
      const transfer = client.requestTensor(WEIGHTS, { into });
      let bytes: Uint8Array = new Uint8Array();
      if (into === "memory") bytes = await transfer.bytes();
      else bytes = new Uint8Array(await new Response(transfer.readable).arrayBuffer());
      await transfer.done;
      assert.isTrue(sameBytes(bytes, source.bytes));
      assert.lengthOf(server.wires, 51);
      assert.equal(transfer.progress.retries, 50);
      const sent = server.wires.reduce((sum, wire) => sum + wire.writtenBytes, 0);
      assert.isBelow(sent, source.bytes.byteLength + 51 * 1.5 * LEAF);
      await client.close();
      await server.close();
      assert.equal(source.opened, source.closed);
    });
  }

  test("recovery: a cut late in a transfer costs the leaf that was under way, not the rest", async () => {
    const source = new TestSource(patterned(20 * LEAF));
    const server = serving({ store: storeOf([WEIGHTS, source]) }, (dial) =>
      dial === 0 ? { cutAfterBytes: 15.5 * LEAF } : {},
    );
    const client = new TensorPeer(server.connect, { retry: FAST });
    const bytes = await client.requestTensor(WEIGHTS, { into: "memory" }).bytes();
    assert.isTrue(sameBytes(bytes, source.bytes));
    assert.isBelow(server.wires[1]?.writtenBytes ?? 0, 6.1 * LEAF);
    await client.close();
    await server.close();
  });

  test("recovery: a push is cut and carries on, from where the receiver is", async () => {
    const bytes = patterned(12 * LEAF);
    let sink: TestSink | undefined;
    const sinks: SinkStore = {
      async accept(_address, descriptor) {
        sink ??= new TestSink(descriptor);
        return sink;
      },
    };
    const wires: FaultyConnection[] = [];
    const servers: TensorPeer[] = [];
    const connect = async () => {
      const [near, far] = connectionPair();
      const wire = new FaultyConnection(
        near,
        wires.length === 0 ? { cutAfterBytes: 9 * LEAF } : {},
      );
      wires.push(wire);
      const server = new TensorPeer(far, { sinks, accepted: true });
      server.closed.catch(() => {});
      servers.push(server);
      return wire;
    };
    const client = new TensorPeer(connect, { retry: FAST });
    await client.streamTensor(WEIGHTS, new TestSource(bytes)).done;
    assert.isTrue(sameBytes(sink?.bytes ?? new Uint8Array(), bytes));
    assert.isBelow(wires[1]?.writtenBytes ?? 0, 5 * LEAF);
    assert.equal(sink?.released, 2);
    await client.close();
    for (const server of servers) await server.close();
  });

  test("recovery: damaged bytes on the way are fetched again, whatever the chunk's size", async () => {
    for (const chunkBytes of [64 * 1024, LEAF, 4 * LEAF]) {
      for (const codecs of [[], [deflate]]) {
        const source = new TestSource(patterned(8 * LEAF));
        source.bytes.fill(0, LEAF, 3 * LEAF);
        const flipAt = [1000, 0.3 * LEAF, 2.2 * LEAF, 4 * LEAF];
        const server = serving({ store: storeOf([WEIGHTS, source]), chunkBytes, codecs }, (dial) =>
          dial < 4 ? { flipAt: [flipAt[dial] ?? 0] } : {},
        );
        const retry = { ...FAST, maxRetries: 8 };
        const client = new TensorPeer(server.connect, { retry });
        const bytes = await client.requestTensor(WEIGHTS, { into: "memory" }).bytes();
        assert.isTrue(sameBytes(bytes, source.bytes), `chunks of ${chunkBytes}`);
        await client.close();
        await server.close();
      }
    }
  });

  test("recovery: a source that changes between attempts never becomes a mixture", async () => {
    const before = patterned(8 * LEAF);
    const after = before.slice();
    after.fill(3, 2 * LEAF, 2 * LEAF + 10);
    after.fill(4, 7 * LEAF);
    const source = new TestSource(before, 1);
    const server = serving({ store: storeOf([WEIGHTS, source]) }, (dial) => {
      if (dial > 0) {
        source.bytes = after;
        source.versionNumber = 2;
      }
      return dial === 0 ? { cutAfterBytes: 6 * LEAF } : {};
    });
    const client = new TensorPeer(server.connect, { retry: FAST });
    const bytes = await client.requestTensor(WEIGHTS, { into: "memory" }).bytes();
    assert.isTrue(sameBytes(bytes, after));
    // Leaves 0, 1, 3 and 4 were the same in both, compared by digest and kept.
    assert.isBelow(server.wires[1]?.writtenBytes ?? 0, 5.1 * LEAF);
    await client.close();
    await server.close();
  });

  test("recovery: without digests a changed version means starting over", async () => {
    const before = patterned(6 * LEAF);
    const after = before.map((byte) => byte ^ 1);
    const source = new TestSource(before, 1);
    const server = serving({ store: storeOf([WEIGHTS, source]) }, (dial) => {
      if (dial > 0) {
        source.bytes = after;
        source.versionNumber = 2;
      }
      return dial === 0 ? { cutAfterBytes: 4 * LEAF } : {};
    });
    const client = new TensorPeer(server.connect, { retry: FAST });
    const transfer = client.requestTensor(WEIGHTS, { into: "memory", digest: "none" });
    assert.isTrue(sameBytes(await transfer.bytes(), after));
    assert.isAbove(server.wires[1]?.writtenBytes ?? 0, 6 * LEAF);
    await client.close();
    await server.close();
  });

  test("recovery: a source that changes while it is read is an error at source, never a tensor", async () => {
    for (const digest of ["sha256", "none"] as const) {
      const source = new TestSource(patterned(6 * LEAF), 1);
      source.onRead = (at) => {
        if (at === 3 * LEAF) {
          source.bytes = source.bytes.map((byte) => byte ^ 255);
          source.versionNumber++;
        }
      };
      const server = serving({ store: storeOf([WEIGHTS, source]) }, () => ({}));
      const client = new TensorPeer(server.connect, { retry: { ...FAST, maxRetries: 2 } });
      let sink: TestSink | undefined;
      const transfer = client.requestTensor(WEIGHTS, {
        digest,
        into: (offer) => {
          sink ??= new TestSink(offer.descriptor);
          return sink;
        },
      });
      // One more attempt finds it quiet, unless it changes whenever it is read there.
      const error = await failureOf(transfer);
      assert.instanceOf(error, RetryExhaustedError);
      const { cause } = error as RetryExhaustedError;
      assert.instanceOf(cause, IntegrityError);
      assert.equal((cause as IntegrityError).where, "source");
      assert.equal(sink?.committed_, 0);
      await client.close();
      await server.close();
      assert.equal(source.opened, source.closed);
    }
  });

  test("recovery: a pinned version is the only one that is taken", async () => {
    const source = new TestSource(patterned(2 * LEAF), 2);
    const server = serving({ store: storeOf([WEIGHTS, source]) }, () => ({}));
    const client = new TensorPeer(server.connect, { retry: FAST });
    const right = client.requestTensor(WEIGHTS, { into: "memory", version: Uint8Array.of(2) });
    assert.isTrue(sameBytes(await right.bytes(), source.bytes));
    const wrong = client.requestTensor(WEIGHTS, { into: "memory", version: Uint8Array.of(1) });
    await assertRejects(() => wrong.done, IntegrityError, /not the version that was asked for/);
    assert.equal(wrong.progress.retries, 0);
    await client.close();
    await server.close();
  });

  test("recovery: dials again after exact delays, and gives up with the last failure as cause", async () => {
    const clock = new ManualClock();
    let dials = 0;
    const refused = new TransportError("nobody listens");
    const connect = async () => {
      dials++;
      throw refused;
    };
    const retry = { maxRetries: 3, baseDelayMs: 500, maxDelayMs: 1500, jitterFactor: 0.1 };
    const client = new TensorPeer(connect, { clock, random: () => 0, retry });
    for (const round of [1, 2]) {
      const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
      const error = await clock.runUntil(failureOf(transfer));
      assert.instanceOf(error, RetryExhaustedError);
      assert.strictEqual((error as RetryExhaustedError).cause, refused);
      assert.equal((error as RetryExhaustedError).attempts, 4);
      assert.equal(dials, 4 * round, "a later call counts anew");
      assert.deepEqual(clock.delaysMs.splice(0), [450, 900, 1350]);
    }
    await client.close();
    assert.equal(clock.pending, 0);
  });

  test("recovery: a goodbye in the middle of a transfer is one more cut", async () => {
    const source = new TestSource(patterned(6 * LEAF));
    const server = serving({ store: storeOf([WEIGHTS, source]) }, () => ({}));
    source.onRead = async (at) => {
      if (at !== 3 * LEAF || server.servers.length > 1) return;
      void server.servers[0]?.close();
      await settle();
    };
    const client = new TensorPeer(server.connect, { retry: FAST });
    const bytes = await client.requestTensor(WEIGHTS, { into: "memory" }).bytes();
    assert.isTrue(sameBytes(bytes, source.bytes));
    assert.lengthOf(server.wires, 2);
    await client.close();
    await server.close();
  });

  test("recovery: a link that stalls is found dead by the watchdog, and dialled again", async () => {
    const clock = new ManualClock();
    const source = new TestSource(patterned(6 * LEAF));
    const server = serving({ store: storeOf([WEIGHTS, source]) }, (dial) =>
      dial === 0 ? { stallAfterBytes: 3.5 * LEAF } : {},
    );
    const client = new TensorPeer(server.connect, { clock, retry: FAST });
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    const bytes = await clock.runUntil(transfer.bytes());
    assert.isTrue(sameBytes(bytes, source.bytes));
    assert.lengthOf(server.wires, 2);
    await client.close();
    await server.close();
  });

  test("recovery: the writing side ending in the middle is a cut as well", async () => {
    const source = new TestSource(patterned(4 * LEAF));
    const server = serving({ store: storeOf([WEIGHTS, source]) }, (dial) =>
      dial === 0 ? { endAfterBytes: 2.5 * LEAF } : {},
    );
    const client = new TensorPeer(server.connect, { retry: FAST });
    const bytes = await client.requestTensor(WEIGHTS, { into: "memory" }).bytes();
    assert.isTrue(sameBytes(bytes, source.bytes));
    await client.close();
    await server.close();
  });
};
