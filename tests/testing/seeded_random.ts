import { assert } from "chai";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { Suite } from "../harness.ts";

const words = (seed: number, count: number): number[] => {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () => random.word());
};

export const seededRandomSuite: Suite = ({ test }) => {
  test("seeded random: a seed gives the same numbers in every runtime and release", () => {
    assert.deepEqual(words(0, 4), [4229075118, 2933053733, 1812832808, 4032857796]);
    assert.deepEqual(words(1, 4), [676985276, 3850088016, 4145168336, 1502947713]);
    assert.deepEqual(words(2 ** 53 - 1, 4), [1438907529, 1244443954, 225986264, 2849405089]);
    assert.deepEqual([...new SeededRandom(9).bytes(6)], [190, 91, 170, 187, 80, 217]);
  });

  test("seeded random: all bits of a seed count, and seeds side by side have nothing in common", () => {
    const firsts = new Set<number>();
    for (let bit = 0; bit < 53; bit++) firsts.add(words(2 ** bit, 1)[0] as number);
    for (let seed = 0; seed < 1000; seed++) firsts.add(words(seed, 1)[0] as number);
    // 1, 2, 4, ... 512 are in both.
    assert.equal(firsts.size, 53 + 1000 - 10);
    for (const bad of [0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      assert.throws(() => new SeededRandom(bad), RangeError);
    }
  });

  test("seeded random: every bit is set half of the time, whatever the one before it was", () => {
    const count = 20_000;
    const set = new Array<number>(32).fill(0);
    const changed = new Array<number>(32).fill(0);
    let before = 0;
    for (const word of words(3, count)) {
      for (let bit = 0; bit < 32; bit++) {
        set[bit] = (set[bit] as number) + ((word >>> bit) & 1);
        changed[bit] = (changed[bit] as number) + (((word ^ before) >>> bit) & 1);
      }
      before = word;
    }
    // Five standard deviations.
    for (const times of [...set, ...changed]) {
      assert.closeTo(times, count / 2, 5 * Math.sqrt(count / 4));
    }
  });

  test("seeded random: choices keep to their limits and reach them", () => {
    const random = new SeededRandom(4);
    const found = { below: new Set(), between: new Set(), pick: new Set() };
    let small = 0;
    for (let n = 0; n < 2000; n++) {
      found.below.add(random.below(3));
      found.between.add(random.between(5, 7));
      found.pick.add(random.pick(["a", "b"]));
      const spread = random.spread(4096, 4 * 1024 * 1024);
      assert.isAtLeast(spread, 4096);
      assert.isAtMost(spread, 4 * 1024 * 1024);
      if (spread < 128 * 1024) small++;
    }
    assert.sameMembers([...found.below], [0, 1, 2]);
    assert.sameMembers([...found.between], [5, 6, 7]);
    assert.sameMembers([...found.pick], ["a", "b"]);
    assert.closeTo(small, 1000, 112, "half of the orders of magnitude, half of the numbers");
    assert.isFalse(random.chance(0));
    assert.isTrue(random.chance(1));
    assert.throws(() => random.pick([]), RangeError);
  });
};
