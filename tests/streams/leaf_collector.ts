import { assert } from "chai";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { LeafCollector } from "../../lib/streams/leaf_collector.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../../lib/tensor/leaf.ts";
import { countWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { concat } from "../wire/vectors.ts";
import { patterned, sameBytes } from "./support.ts";

const content = patterned(3 * LEAF_BYTES + 5000);

export const leafCollectorSuite: Suite = ({ test }) => {
  test("leaf collector: leaves come out whole, whatever the chunks and the order of leaves", () => {
    const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
    fc.assert(
      fc.property(order, fc.integer({ min: 1000, max: LEAF_BYTES }), (leaves, chunkBytes) => {
        const collector = new LeafCollector(content.byteLength);
        const cursors = leaves.map((index) => ({ index, at: 0 }));
        const found = new Map<number, Uint8Array>();
        // A chunk of each leaf in turn: all leaves are open at once.
        while (found.size < 4) {
          for (const cursor of cursors) {
            const length = leafLength(cursor.index, content.byteLength);
            if (cursor.at === length) continue;
            const start = cursor.index * LEAF_BYTES + cursor.at;
            const taken = Math.min(chunkBytes, length - cursor.at);
            cursor.at += taken;
            const whole = collector.add(start, content.subarray(start, start + taken));
            for (const leaf of whole) found.set(leaf.index, concat(leaf.parts));
          }
        }
        for (const [index, bytes] of found) {
          const expected = content.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES);
          assert.isTrue(sameBytes(bytes, expected));
        }
        assert.equal(collector.openLeaves, 0);
      }),
      { numRuns: 10 },
    );
  });

  test("leaf collector: a chunk of several leaves ends them all, without a copy", async () => {
    const collector = new LeafCollector(content.byteLength);
    const work = await countWork(() => {
      const whole = collector.add(0, content);
      assert.equal(whole.length, leafCount(content.byteLength));
      for (const leaf of whole) assert.equal(leaf.parts[0]?.buffer, content.buffer);
    });
    assert.equal(work.copiedBytes, 0);
  });

  test("leaf collector: what is dropped begins anew", () => {
    const collector = new LeafCollector(content.byteLength);
    collector.add(LEAF_BYTES, content.subarray(LEAF_BYTES, LEAF_BYTES + 10));
    assert.equal(collector.openLeaves, 1);
    collector.drop(1);
    collector.drop(2);
    assert.equal(collector.openLeaves, 0);
    assert.throws(() => collector.add(LEAF_BYTES + 10, content.subarray(0, 1)), ProtocolError);
    const leaf = content.subarray(LEAF_BYTES, 2 * LEAF_BYTES);
    assert.equal(collector.add(LEAF_BYTES, leaf)[0]?.index, 1);
  });

  test("leaf collector: bytes outside the tensor and out of order are refused", () => {
    const collector = new LeafCollector(LEAF_BYTES + 100);
    assert.throws(
      () => collector.add(LEAF_BYTES, new Uint8Array(101)),
      ProtocolError,
      /of a tensor/,
    );
    assert.throws(() => collector.add(1, new Uint8Array(1)), ProtocolError, /byte 0 was next/);
    collector.add(0, new Uint8Array(10));
    assert.throws(() => collector.add(0, new Uint8Array(10)), ProtocolError, /byte 10 was next/);
    assert.throws(() => collector.add(11, new Uint8Array(10)), ProtocolError, /byte 10 was next/);
    assert.deepEqual(collector.add(10, new Uint8Array()), []);
  });
};
