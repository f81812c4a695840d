import { assert } from "chai";
import { type Deferred, deferred } from "../../lib/deferred.ts";
import { IntegrityError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { WritableSink } from "../../lib/session/writable_sink.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes, turns } from "../streams/support.ts";
import { LEAF, WEIGHTS } from "./support/tensors.ts";

const leaf = (index: number) => ({ index, digest: new Uint8Array(32) });
const VERSION = Uint8Array.of(1);

/** A stream whose writes are kept when the test says so. */
function heldWrites() {
  const taken: number[] = [];
  const gates: Deferred<void>[] = [];
  let ending: unknown = "open";
  const writable = new WritableStream<Uint8Array>({
    write: (bytes) => {
      taken.push(bytes[0] as number);
      const gate = deferred<void>();
      gates.push(gate);
      return gate.promise;
    },
    close: () => {
      ending = "closed";
    },
    abort: (reason) => {
      ending = reason;
    },
  });
  return { writable, taken, gates, ending: () => ending };
}

export const writableSinkSuite: Suite = ({ test }) => {
  test("writable sink: leaves that come in any order are written in theirs, one at a time", async () => {
    const { writable, taken, gates, ending } = heldWrites();
    const sink = new WritableSink(writable);
    await sink.begin(VERSION, []);
    const writes = [2, 0, 1].map((index) => sink.write(leaf(index), Uint8Array.of(index)));
    let kept = 0;
    for (const write of writes) void write.then(() => kept++);
    for (let index = 0; index < 3; index++) {
      await turns(50);
      assert.deepEqual(taken, [0, 1, 2].slice(0, index + 1));
      assert.equal(kept, index, "leaves that count as safe");
      gates[index]?.resolve();
    }
    await Promise.all(writes);
    await sink.commit();
    assert.equal(ending(), "closed");
  });

  test("writable sink: a write that outlives its attempt is not made twice", async () => {
    const { writable, taken, gates } = heldWrites();
    const sink = new WritableSink(writable);
    await sink.begin(VERSION, []);
    void sink.write(leaf(0), Uint8Array.of(0));
    void sink.write(leaf(1), Uint8Array.of(1));
    await turns(50);
    await sink.release();
    const held = sink.held();
    gates[0]?.resolve();
    assert.deepEqual((await held)?.leaves, [leaf(0)]);
    await sink.begin(VERSION, [leaf(0)]);
    const second = sink.write(leaf(1), Uint8Array.of(1));
    await turns(50);
    gates[1]?.resolve();
    await second;
    assert.deepEqual(taken, [0, 1]);
  });

  test("writable sink: another version cannot follow what was written", async () => {
    const { writable, gates } = heldWrites();
    const sink = new WritableSink(writable);
    await sink.begin(VERSION, []);
    const write = sink.write(leaf(0), Uint8Array.of(0));
    await turns(50);
    gates[0]?.resolve();
    await write;
    const begin = () => sink.begin(Uint8Array.of(2), []);
    await assertRejects(begin, IntegrityError, /changed after a part of it had been written/);
  });

  test("writable sink: an abort reaches the stream with its very reason", async () => {
    const { writable, ending } = heldWrites();
    const reason = new Error("over");
    new WritableSink(writable).abort(reason);
    await turns(50);
    assert.equal(ending(), reason);
  });

  test("writable sink: what its reader holds does not change under its hands", async () => {
    const bytes = patterned(12 * LEAF);
    const store = new MemoryStore();
    store.set(WEIGHTS, bytes);
    const [here, there] = connectionPair();
    const server = new TensorPeer(there, { store, accepted: true, codecs: [] });
    const client = new TensorPeer(here, { codecs: [] });
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const reading = new Response(readable as BodyInit).arrayBuffer();
    const { done } = client.requestTensor(WEIGHTS, { into: () => new WritableSink(writable) });
    await done;
    assert.isTrue(sameBytes(new Uint8Array(await reading), bytes));
    await client.close();
    await server.close();
  });

  test("writable sink: into a stream that keeps nothing, any size goes through the memory of a few leaves", async () => {
    const bytes = patterned(40 * LEAF + 5);
    const store = new MemoryStore();
    store.set(WEIGHTS, bytes);
    const [here, there] = connectionPair();
    const server = new TensorPeer(there, { store, accepted: true, codecs: [] });
    const client = new TensorPeer(here, { codecs: [] });
    const memory = new Set<ArrayBufferLike>();
    let at = 0;
    const sink = new WritableSink(
      new WritableStream<Uint8Array>({
        write: (piece) => {
          memory.add(piece.buffer);
          assert.isTrue(sameBytes(piece, bytes.subarray(at, at + piece.byteLength)));
          at += piece.byteLength;
        },
      }),
      { copies: false },
    );
    const transfer = client.requestTensor(WEIGHTS, { into: () => sink });
    await transfer.done;
    assert.equal(at, bytes.byteLength);
    assert.equal(transfer.verified, "root");
    assert.isAtMost(memory.size, 20);
    await client.close();
    await server.close();
  });
};
