import { assert } from "chai";
import { type Deferred, deferred, News } from "../../lib/deferred.ts";
import { DISK_TURNS, Turns } from "../../lib/session/turns.ts";
import type { TensorSink } from "../../lib/tensor/sink.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { turn } from "../transports/conformance.ts";
import { settle } from "./support/manual_clock.ts";
import { LEAF, storeOf, TestSource, tensorBytes, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

/** A disk that writes what it is given when the test says so. */
class Disk {
  readonly turns: Turns = new Turns(DISK_TURNS);
  /** What it has been given and has not finished, the oldest first. */
  readonly writing: { readonly name: string; readonly done: Deferred<string> }[] = [];

  run(name: string, priority: () => number): Promise<string> {
    return this.turns.run(priority, () => {
      const done = deferred<string>();
      this.writing.push({ name, done });
      return done.promise;
    });
  }

  get names(): string {
    return this.writing.map(({ name }) => name).join(" ");
  }

  async finish(error?: unknown): Promise<void> {
    const first = this.writing.shift();
    if (error === undefined) first?.done.resolve(first.name);
    else first?.done.reject(error);
    await settle();
  }
}

export const turnsSuite: Suite = ({ test }) => {
  test("disk turns: four writes at once, the most urgent next, equals as they came", async () => {
    const disk = new Disk();
    for (const name of ["a", "b", "c", "d", "e", "f"]) void disk.run(name, () => 50);
    for (const name of ["u", "v"]) void disk.run(name, () => 200);
    void disk.run("z", () => 0);
    await settle();
    assert.equal(disk.names, "a b c d");
    await disk.finish();
    assert.equal(disk.names, "b c d u");
    await disk.finish();
    await disk.finish();
    assert.equal(disk.names, "d u v e");
    await disk.finish();
    assert.equal(disk.names, "u v e f");
    await disk.finish();
    assert.equal(disk.names, "v e f z");
    for (let n = 0; n < 4; n++) await disk.finish();
    void disk.run("later", () => 0);
    await settle();
    assert.equal(disk.names, "later");
  });

  test("turns: one that is left goes to the next, and comes back when its time has come", async () => {
    const turns = new Turns(1);
    const told: string[] = [];
    const rested = deferred<void>();
    const long = deferred<void>();
    const first = turns.run(
      () => 0,
      async (own) => {
        own.leave();
        own.leave();
        await rested.promise;
        await own.take();
        told.push("first again");
      },
    );
    const second = turns.run(
      () => 0,
      async () => {
        told.push("second");
        await long.promise;
      },
    );
    const third = turns.run(
      () => 0,
      async () => void told.push("third"),
    );
    await settle();
    assert.deepEqual(told, ["second"]);
    rested.resolve();
    await settle();
    assert.deepEqual(told, ["second"]);
    long.resolve();
    await Promise.all([first, second, third]);
    assert.deepEqual(told, ["second", "third", "first again"]);
  });

  test("disk turns: what counts is the priority when a turn comes, not when it was asked for", async () => {
    const disk = new Disk();
    const priorities = new Map([
      ["low", 10],
      ["high", 100],
    ]);
    for (const name of ["a", "b", "c", "d"]) void disk.run(name, () => 50);
    for (const name of ["high", "low"]) void disk.run(name, () => priorities.get(name) ?? 0);
    priorities.set("low", 200);
    await settle();
    await disk.finish();
    assert.equal(disk.names, "b c d low");
  });

  test("disk turns: a write that fails passes its turn on, and fails for its caller alone", async () => {
    const disk = new Disk();
    const failing = disk.run("a", () => 50);
    failing.catch(() => {});
    const thrown = disk.turns.run(
      () => 50,
      () => {
        throw new RangeError("before it began");
      },
    );
    await assertRejects(() => thrown, RangeError, /before it began/);
    const others = ["b", "c", "d", "e"].map((name) => disk.run(name, () => 50));
    await settle();
    assert.equal(disk.names, "a b c d");
    await disk.finish(new Error("full"));
    await assertRejects(() => failing, Error, /full/);
    assert.equal(disk.names, "b c d e");
    for (let n = 0; n < 4; n++) await disk.finish();
    assert.deepEqual(await Promise.all(others), ["b", "c", "d", "e"]);
  });

  test("disk turns: a transfer that is over does not use the turns that it still waits for", async () => {
    const source = new TestSource(tensorBytes(6 * LEAF));
    // Uncompressed, so that it can be told when everything has come.
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]), codecs: [] });
    const writing = new News();
    const underWay: Deferred<void>[] = [];
    let isReleased = false;
    let writtenLate = 0;
    const sink: TensorSink = {
      pace: "disk",
      held: async () => undefined,
      begin: async () => {},
      write: async () => {
        if (isReleased) writtenLate++;
        const written = deferred<void>();
        underWay.push(written);
        writing.tell();
        await written.promise;
      },
      commit: async () => {},
      release: async () => {
        isReleased = true;
      },
    };
    const transfer = client.requestTensor(WEIGHTS, { into: () => sink });
    while (underWay.length < 4) await writing.wait();
    while (transfer.progress.wireBytes < 6 * LEAF) await turn();
    transfer.cancel();
    await transfer.done.catch(() => {});
    assert.isTrue(isReleased);
    for (const { resolve } of underWay) resolve();
    await settle();
    assert.equal(writtenLate, 0, "into a sink that was let go");
    await Promise.all([client.close(), server.close()]);
  });
};
