import { assert } from "chai";
import fc from "fast-check";
import { SourceNotRewindableError } from "../../lib/errors.ts";
import { BufferPool } from "../../lib/session/buffer_pool.ts";
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

  test("replay leaves: memory of leaves that were let go is used again", () => {
    const buffers = new Set<ArrayBufferLike>();
    class CountedPool extends BufferPool {
      override take(byteLength: number): Uint8Array {
        const taken = super.take(byteLength);
        buffers.add(taken.buffer);
        return taken;
      }
    }
    const leaves = new ReplayLeaves(2, 20 * LEAF_BYTES + 500, new CountedPool(2));
    const found = new Uint8Array(LEAF_BYTES);
    for (let index = 0; index < 20; index++) {
      leaves.fill(new Uint8Array(LEAF_BYTES).fill(index + 1));
      leaves.copy(index * LEAF_BYTES, found);
      assert.isTrue(found.every((byte: number) => byte === index + 1));
      if (index > 0) leaves.letGo([{ first: index - 1, count: 1 }]);
    }
    leaves.letGo([{ first: 19, count: 1 }]);
    assert.equal(leaves.fill(new Uint8Array(LEAF_BYTES).fill(99)), 500, "the last leaf is short");
    leaves.copy(20 * LEAF_BYTES, found.subarray(0, 500));
    assert.isTrue(found.subarray(0, 500).every((byte: number) => byte === 99));
    assert.equal(buffers.size, 2);
  });
};
