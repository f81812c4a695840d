import { assert } from "chai";
import fc from "fast-check";
import { type Deferred, deferred } from "../../lib/deferred.ts";
import { OrderedMapStream } from "../../lib/streams/ordered_map_stream.ts";
import type { Suite } from "../harness.ts";
import { collect, countedSource, turns } from "./support.ts";

export const orderedMapStreamSuite: Suite = ({ test }) => {
  test("ordered map: keeps the order whatever finishes first", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(5), { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        async (delays, concurrency) => {
          const stage = new OrderedMapStream<number, string>(
            (i) => {
              const delay = delays[i] as number;
              return delay === 0 ? [`${i}`] : [turns(delay).then(() => `${i}`)];
            },
            { concurrency },
          );
          const { stream } = countedSource(delays.keys());
          assert.deepEqual(
            await collect(stream.pipeThrough(stage)),
            [...delays.keys()].map(String),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test("ordered map: never has more than its share under way, and uses all of it", async () => {
    for (const concurrency of [1, 2, 4]) {
      let underWay = 0;
      let most = 0;
      const stage = new OrderedMapStream<number, number>(
        (i) => {
          underWay++;
          most = Math.max(most, underWay);
          const done = turns(20 - (i % 7)).then(() => {
            underWay--;
            return i;
          });
          return [done];
        },
        { concurrency },
      );
      const { stream } = countedSource(Array.from({ length: 30 }).keys());
      await collect(stream.pipeThrough(stage));
      assert.equal(most, concurrency);
    }
  });

  test("ordered map: takes nothing that nobody reads", async () => {
    for (const concurrency of [1, 3]) {
      const { stream, pulls } = countedSource(Array.from({ length: 1000 }).keys());
      const stage = new OrderedMapStream<number, number>((i) => [Promise.resolve(i)], {
        concurrency,
      });
      const reader = stream.pipeThrough(stage).getReader();
      await turns(100);
      assert.isAtMost(pulls(), 2, "before the first read");
      assert.equal((await reader.read()).value, 0);
      await turns(100);
      assert.isAtMost(pulls(), concurrency + 3, "after one read");
      for (let i = 1; i <= 50; i++) assert.equal((await reader.read()).value, i);
      await turns(100);
      assert.isAtMost(pulls(), 50 + concurrency + 3, "after fifty more");
      await reader.cancel();
    }
  });

  test("ordered map: synchronous results take no promise of their own", async () => {
    const seen: string[] = [];
    const stage = new OrderedMapStream<number, number>((i) => {
      seen.push(`map ${i}`);
      return [i, i + 1];
    });
    const reader = stage.readable.getReader();
    const read = reader.read().then(({ value }) => seen.push(`read ${value}`));
    const writer = stage.writable.getWriter();
    const written = writer.write(5).then(() => seen.push("written"));
    await Promise.all([read, written]);
    assert.deepEqual(seen, ["map 5", "read 5", "written"]);
    assert.equal((await reader.read()).value, 6);
  });

  test("ordered map: the end waits for what is under way, then gives the last results", async () => {
    const work = deferred<string>();
    const stage = new OrderedMapStream<number, string>(() => [work.promise], {
      concurrency: 2,
      finish: () => ["sync end", turns(3).then(() => "late end")],
    });
    const results = collect(countedSource([1]).stream.pipeThrough(stage));
    await turns(20);
    work.resolve("item");
    assert.deepEqual(await results, ["item", "sync end", "late end"]);
  });

  test("ordered map: the first failure wins, on both sides, and the others stay handled", async () => {
    const works: Deferred<number>[] = [deferred(), deferred(), deferred()];
    const { stream, cancelled } = countedSource([0, 1, 2, 3, 4]);
    const stage = new OrderedMapStream<number, number>(
      (i) => [(works[i] as Deferred<number>).promise.then((n) => n)],
      { concurrency: 3 },
    );
    const results = collect(stream.pipeThrough(stage)).catch((reason: unknown) => reason);
    await turns(20);
    works[1]?.reject(new Error("second"));
    await turns(5);
    works[2]?.reject(new Error("third"));
    works[0]?.reject(new Error("first"));
    assert.equal((await results) instanceof Error && ((await results) as Error).message, "second");
    await turns(20);
    assert.instanceOf(cancelled(), Error);
  });

  test("ordered map: a function that throws errors both sides", async () => {
    const { stream, cancelled } = countedSource([1, 2]);
    const stage = new OrderedMapStream<number, number>(() => {
      throw new TypeError("no numbers");
    });
    const failure = await collect(stream.pipeThrough(stage)).catch((reason: unknown) => reason);
    assert.instanceOf(failure, TypeError);
    await turns(20);
    assert.equal(cancelled(), failure);
  });

  test("ordered map: a cancel reaches the source while work is under way", async () => {
    const work = deferred<number>();
    const { stream, cancelled } = countedSource([1, 2, 3]);
    const stage = new OrderedMapStream<number, number>(() => [work.promise], { concurrency: 2 });
    const reader = stream.pipeThrough(stage).getReader();
    const read = reader.read();
    await turns(20);
    await reader.cancel("enough");
    assert.isTrue((await read).done);
    work.resolve(1);
    await turns(20);
    assert.equal(cancelled(), "enough");
  });

  test("ordered map: an abort reaches the reader while work is under way", async () => {
    const work = deferred<number>();
    const stage = new OrderedMapStream<number, number>(() => [work.promise], { concurrency: 1 });
    const reader = stage.readable.getReader();
    const read = reader.read().catch((reason: unknown) => reason);
    const writer = stage.writable.getWriter();
    const writes = [writer.write(1), writer.write(2)].map((write) => write.catch(() => "refused"));
    await turns(5);
    const aborted = writer.abort("stop");
    work.resolve(1);
    await aborted;
    await Promise.all(writes);
    assert.equal(await writer.closed.catch((reason: unknown) => reason), "stop");
    assert.equal(
      await read.then((r) => (r === "stop" ? r : reader.closed.catch((e) => e))),
      "stop",
    );
  });

  test("ordered map: refuses a concurrency that is not a whole number from 1", () => {
    for (const concurrency of [0, -1, 1.5, Number.NaN]) {
      assert.throws(() => new OrderedMapStream(() => [], { concurrency }), RangeError);
    }
  });
};
