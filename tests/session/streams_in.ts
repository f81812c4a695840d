import { assert } from "chai";
import { streamsIn } from "../../lib/session/streams_in.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { StreamRun } from "../../lib/wire/receipts.ts";
import { costExponent } from "../complexity.ts";
import type { Suite } from "../harness.ts";

/** Open streams that count how often they are looked for. */
class OpenStreams extends Map<number, null> {
  looks = 0;

  constructor(streams: Iterable<number>) {
    super();
    for (const stream of streams) this.set(stream, null);
  }

  override has(stream: number): boolean {
    this.looks++;
    return super.has(stream);
  }

  override *keys(): MapIterator<number> {
    for (const stream of super.keys()) {
      this.looks++;
      yield stream;
    }
  }
}

const range = (count: number) => Array.from({ length: count }, (_, n) => n);

export const streamsInSuite: Suite = ({ test }) => {
  test("streams in runs: those that are open, each once, however runs overlap", () => {
    const random = new SeededRandom(5);
    for (let round = 0; round < 300; round++) {
      const open = new OpenStreams(range(random.below(30)).map(() => 1 + random.below(60)));
      const runs: StreamRun[] = range(1 + random.below(8)).map(() => ({
        first: 1 + random.below(60),
        count: 1 + random.below(round % 2 === 0 ? 3 : 1000),
      }));
      const wanted = new Set<number>();
      for (const { first, count } of runs) {
        for (let n = 0; n < count; n++) if (open.has(first + 2 * n)) wanted.add(first + 2 * n);
      }
      const found: number[] = [];
      // As whoever asks does: what was found is not open any more.
      for (const stream of streamsIn(runs, open)) {
        open.delete(stream);
        found.push(stream);
      }
      assert.sameMembers(found, [...wanted], JSON.stringify(runs));
    }
  });

  test("streams in runs: a frame full of long runs costs no more than the streams that are open", async () => {
    const exponent = await costExponent(
      (n) => {
        const open = new OpenStreams(range(n).map((stream) => 2 * stream + 1));
        const runs = range(8191).map((first) => ({ first: 2 * (first % n) + 2, count: 2 ** 30 }));
        assert.isEmpty([...streamsIn(runs, open)]);
        return open.looks;
      },
      [500, 1000, 2000, 4000],
    );
    assert.closeTo(exponent, 1, 0.01);
  });
};
