import { assert } from "chai";
import { deferred } from "../../lib/deferred.ts";
import { TransportError } from "../../lib/errors.ts";
import { Budget } from "../../lib/session/budget.ts";
import { StallWatch } from "../../lib/session/stall_watch.ts";
import { Turns } from "../../lib/session/turns.ts";
import type { LeafDigest } from "../../lib/tensor/chunk.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { Offer } from "../../lib/wire/messages.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { sameBytes } from "../streams/support.ts";
import { ManualClock, quiet, settle } from "./support/manual_clock.ts";
import { LEAF, storeOf, TestSink, TestSource, tensorBytes, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

const LEAVES = 16;

/** Writes nothing until it is told to. */
class HeldSink extends TestSink {
  static wrote = 0;
  readonly #go: Promise<void>;
  #hasWritten = false;

  constructor(offer: Offer, go: Promise<void>) {
    super(offer.descriptor);
    this.#go = go;
  }

  override async write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    if (!this.#hasWritten) HeldSink.wrote++;
    this.#hasWritten = true;
    await this.#go;
    return super.write(leaf, bytes);
  }
}

export const budgetSuite: Suite = ({ test }) => {
  test("budget: gives bytes out in order, and what is larger than all of it by itself", async () => {
    const budget = new Budget(10);
    const got: string[] = [];
    const releases = new Map<string, () => void>();
    for (const [name, bytes] of [
      ["a", 6],
      ["b", 4],
      ["c", 1],
      ["d", 99],
      ["e", 1],
    ] as const) {
      void budget.take(bytes).then((release) => {
        got.push(name);
        releases.set(name, release);
      });
    }
    const after = async (name: string) => {
      releases.get(name)?.();
      releases.get(name)?.(); // a second release gives nothing back
      await new Promise((resolve) => setTimeout(resolve));
      return got.join("");
    };
    assert.equal(await after(""), "ab");
    assert.equal(await after("a"), "abc");
    assert.equal(await after("b"), "abc", "d waits for all the others");
    assert.equal(await after("c"), "abcd");
    assert.equal(await after("d"), "abcde");
  });

  test("turns: the highest priority goes first, equals as they came", async () => {
    const turns = new Turns(1);
    const got: string[] = [];
    const first = await turns.take(0);
    const all = [
      ["low", 0],
      ["normal", 50],
      ["urgent", 200],
      ["normal too", 50],
    ] as const;
    const done = all.map(([name, priority]) =>
      turns.take(priority).then((release) => {
        got.push(name);
        release();
        release();
      }),
    );
    first();
    await Promise.all(done);
    assert.deepEqual(got, ["urgent", "normal", "normal too", "low"]);
  });

  test("stall watch: counts only the other end's time, and anything heard begins it anew", async () => {
    const clock = new ManualClock();
    let isTheirTurn = true;
    let stalls = 0;
    const watch = new StallWatch({
      clock,
      timeoutMs: 1000,
      isWaiting: () => isTheirTurn,
      onStall: () => stalls++,
    });
    await clock.advance(900);
    watch.heard();
    await clock.advance(900);
    assert.equal(stalls, 0);
    isTheirTurn = false;
    await clock.advance(10_000);
    assert.equal(stalls, 0);
    isTheirTurn = true;
    await clock.advance(1_500);
    assert.equal(stalls, 1);
    await clock.advance(10_000);
    assert.equal(stalls, 1, "it is said once");
    const stopped = new StallWatch({
      clock,
      timeoutMs: 1000,
      isWaiting: () => true,
      onStall: () => stalls++,
    });
    stopped.stop();
    await clock.advance(10_000);
    assert.equal(stalls, 1);
  });

  test("session: a connection takes no more transfers at once than its memory allows", async () => {
    const source = new TestSource(tensorBytes(LEAVES * LEAF));
    const [client, server] = peerPair(
      { store: storeOf([WEIGHTS, source]), codecs: [] },
      { limits: { transferWindowBytes: 4 * LEAF, connectionWindowBytes: 8 * LEAF } },
    );
    const go = deferred<void>();
    HeldSink.wrote = 0;
    const sinks: HeldSink[] = [];
    const transfers = Array.from({ length: 5 }, () =>
      client.requestTensor(WEIGHTS, {
        into: (offer) => {
          const sink = new HeldSink(offer, go.promise);
          sinks.push(sink);
          return sink;
        },
      }),
    );
    await quiet(() => client.receivedBytes);
    assert.equal(sinks.length, 5, "every offer is heard");
    assert.equal(HeldSink.wrote, 2, "but two windows fill the budget");
    assert.isBelow(client.receivedBytes, 9 * LEAF);
    go.resolve();
    await Promise.all(transfers.map((transfer) => transfer.done));
    for (const sink of sinks) assert.isTrue(sameBytes(sink.bytes, source.bytes));
    await client.close();
    await server.close();
  });

  test("session: a transfer that stands still although the link lives ends, retryably", async () => {
    const clock = new ManualClock();
    const stuck = {
      descriptor: createDescriptor("U8", [LEAF]),
      version: async () => new Uint8Array(4),
      read: () => new Promise<void>(() => {}),
    };
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, stuck]), clock }, { clock });
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    const failure = assertRejects(() => transfer.done, TransportError, /stood still for 60000 ms/);
    for (let waitedMs = 0; waitedMs < 80_000; waitedMs += 1_000) await clock.advance(1_000);
    assert.isTrue((await failure).retryable);
    await client.close();
    await server.close();
    await settle();
    assert.equal(clock.pending, 0, "no timer is left behind");
  });
};
