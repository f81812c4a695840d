import { assert } from "chai";
import fc from "fast-check";
import { SourceNotRewindableError } from "../../lib/errors.ts";
import { ReplayLeaves } from "../../lib/session/replay_leaves.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { Suite } from "../harness.ts";
import { patterned, sameBytes } from "../streams/support.ts";

const content = patterned(3 * LEAF_BYTES + 500);

export const replayLeavesSuite: Suite = ({ test }) => {
  test("replay leaves: take what there is room for, and give it back at any place", () => {
    const leaves = new ReplayLeaves(2, content.byteLength);
    assert.equal(leaves.fill(content), 2 * LEAF_BYTES);
    assert.equal(leaves.fill(content.subarray(2 * LEAF_BYTES)), 0);
    leaves.letGo([{ first: 0, count: 2 }]);
    assert.equal(leaves.keptBytes, 0);
    assert.equal(leaves.fill(content.subarray(2 * LEAF_BYTES)), LEAF_BYTES + 500);
    assert.equal(leaves.keptBytes, LEAF_BYTES + 500, "the short leaf takes what it needs");
    const across = new Uint8Array(1000);
    leaves.copy(3 * LEAF_BYTES - 500, across);
    assert.isTrue(sameBytes(across, content.subarray(3 * LEAF_BYTES - 500)));
    assert.isTrue(sameBytes(leaves.view(3 * LEAF_BYTES - 500, 1000), across));
  });

  test("replay leaves: are let go in any order, and only once they are whole", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(6), fc.oneof(fc.nat(5), fc.nat(10 ** 9))), { maxLength: 5 }),
        fc.nat(content.byteLength),
        fc.boolean(),
        (ranges, filled, isEnded) => {
          const leaves = new ReplayLeaves(8, 10 * LEAF_BYTES);
          leaves.fill(content.subarray(0, filled));
          if (isEnded) leaves.end();
          leaves.letGo(ranges.map(([first, count]) => ({ first, count })));
          let keptBytes = 0;
          for (let index = 0; index * LEAF_BYTES < filled; index++) {
            const isNamed = ranges.some(
              ([first, count]) => first <= index && index < first + count,
            );
            const isGone = isNamed && (isEnded || (index + 1) * LEAF_BYTES <= filled);
            if (!isGone) keptBytes += LEAF_BYTES;
            const check = () => leaves.check(index * LEAF_BYTES, 1);
            if (isGone) assert.throws(check, SourceNotRewindableError, `Leaf ${index} `);
            else check();
          }
          assert.equal(leaves.keptBytes, keptBytes);
        },
      ),
    );
  });

  test("replay leaves: a run that names none that is left takes none", () => {
    const leaves = new ReplayLeaves(4, content.byteLength);
    leaves.fill(content);
    leaves.letGo([
      { first: 0, count: 2 },
      { first: 0, count: 2 },
    ]);
    assert.equal(leaves.keptBytes, LEAF_BYTES + 500);
  });

  test("replay leaves: what was lent stays as it was after its leaf is let go", () => {
    const leaves = new ReplayLeaves(1, content.byteLength);
    leaves.fill(content);
    const lent = leaves.view(100, 50);
    assert.equal(lent.buffer, leaves.view(0, LEAF_BYTES).buffer, "nothing is copied");
    leaves.letGo([{ first: 0, count: 1 }]);
    leaves.fill(content.subarray(LEAF_BYTES));
    assert.isTrue(sameBytes(lent, content.subarray(100, 150)));
  });
};
