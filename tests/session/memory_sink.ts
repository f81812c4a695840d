import { assert } from "chai";
import { LimitError } from "../../lib/errors.ts";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";

const LEAF = 1024 * 1024;
const digest = (fill: number) => new Uint8Array(32).fill(fill);
const VERSION = Uint8Array.of(1);

export const memorySinkSuite: Suite = ({ test }) => {
  test("memory sink: takes leaves in any order and shows the tensor once it is committed", async () => {
    const sink = new MemorySink(createDescriptor("U8", [LEAF + 3]));
    await sink.begin(VERSION, []);
    const reused = Uint8Array.of(7, 8, 9);
    await sink.write({ index: 1, digest: digest(1) }, reused);
    reused.fill(0);
    assert.throws(() => sink.bytes, TypeError, /not complete/);
    await sink.write({ index: 0, digest: digest(0) }, new Uint8Array(LEAF).fill(5));
    await sink.commit(undefined);
    assert.deepEqual([...sink.bytes.subarray(LEAF - 1)], [5, 7, 8, 9]);
    assert.equal(sink.bytes.byteLength, LEAF + 3);
  });

  test("memory sink: a second attempt keeps the leaves whose digest it names, and no others", async () => {
    const sink = new MemorySink(createDescriptor("U8", [2 * LEAF]));
    assert.isUndefined(await sink.held());
    await sink.begin(VERSION, []);
    await sink.write({ index: 0, digest: digest(10) }, new Uint8Array(LEAF));
    await sink.write({ index: 1, digest: digest(11) }, new Uint8Array(LEAF));
    const held = await sink.held();
    assert.deepEqual(held?.version, VERSION);
    assert.deepEqual(
      held?.leaves.map((leaf) => leaf.index),
      [0, 1],
    );
    await sink.begin(Uint8Array.of(2), [
      { index: 0, digest: digest(99) },
      { index: 1, digest: digest(11) },
    ]);
    const kept = await sink.held();
    assert.deepEqual(kept, {
      version: Uint8Array.of(2),
      leaves: [{ index: 1, digest: digest(11) }],
    });
  });

  test("memory sink: writes into what it is given, and nowhere past the tensor", async () => {
    const into = new Uint8Array(8).fill(1);
    const sink = new MemorySink(createDescriptor("U8", [4]), { into, maxBytes: 0 });
    await sink.begin(VERSION, []);
    await sink.write({ index: 0, digest: digest(0) }, Uint8Array.of(2, 3, 4, 5));
    await sink.commit(undefined);
    assert.deepEqual([...into], [2, 3, 4, 5, 1, 1, 1, 1]);
    assert.equal(sink.bytes.buffer, into.buffer);
  });

  test("memory sink: keeps bytes that are the whole tensor, if they are nobody else's and have no place", async () => {
    const leaf = { index: 0, digest: digest(0) };
    const adopted = Uint8Array.of(1, 2, 3, 4);
    const into = new Uint8Array(4);
    const cases = [
      [new MemorySink(createDescriptor("U8", [4])), adopted, true],
      [new MemorySink(createDescriptor("U8", [4]), { into }), adopted, false],
      [
        new MemorySink(createDescriptor("U8", [4])),
        Uint8Array.of(0, 1, 2, 3, 4).subarray(1),
        false,
      ],
    ] as const;
    for (const [sink, bytes, isKept] of cases) {
      await sink.begin(VERSION, []);
      await sink.adopt(leaf, bytes);
      await sink.commit(undefined);
      assert.deepEqual([...sink.bytes], [1, 2, 3, 4]);
      assert.equal(sink.bytes.buffer === bytes.buffer, isKept);
    }
    const early = new MemorySink(createDescriptor("U8", [4]));
    await assertRejects(() => early.adopt(leaf, adopted), TypeError, /before begin/);
  });

  test("memory sink: lends a leaf's own place, and holds the leaf again only once it is written", async () => {
    const into = new Uint8Array(LEAF + 3);
    const sink = new MemorySink(createDescriptor("U8", [LEAF + 3]), { into });
    assert.throws(() => sink.buffer(0), TypeError, /before begin/);
    await sink.begin(VERSION, []);
    for (const index of [0, 1]) {
      const buffer = sink.buffer(index);
      buffer.fill(index + 1);
      await sink.write({ index, digest: digest(index) }, buffer);
    }
    await sink.commit(undefined);
    assert.deepEqual([...sink.bytes.subarray(LEAF - 1)], [1, 2, 2, 2]);
    assert.equal(into[LEAF], 2);
    sink.buffer(1).fill(9); // may turn out damaged
    assert.isFalse(sink.committed);
    assert.deepEqual((await sink.held())?.leaves, [{ index: 0, digest: digest(0) }]);
    assert.throws(() => sink.buffer(2), RangeError, /leaves 0 to 1, found leaf 2/);
  });

  test("memory sink: believes no length beyond its cap, no leaf that cannot be, no early commit", async () => {
    const huge = createDescriptor("U8", [2 ** 52]);
    assert.throws(() => new MemorySink(huge), LimitError, /at most 2147483648/);
    new MemorySink(huge, { maxBytes: 2 ** 53 - 1 }); // nothing is allocated before a leaf is here
    const four = createDescriptor("U8", [4]);
    assert.throws(() => new MemorySink(four, { into: new Uint8Array(3) }), RangeError, /has 3/);
    const sink = new MemorySink(four);
    await assertRejects(
      () => sink.write({ index: 0, digest: digest(0) }, new Uint8Array(4)),
      TypeError,
      /before begin/,
    );
    await sink.begin(VERSION, []);
    await assertRejects(
      () => sink.write({ index: 1, digest: digest(0) }, new Uint8Array(4)),
      RangeError,
      /leaves 0 to 0, found leaf 1/,
    );
    await assertRejects(
      () => sink.write({ index: 0, digest: digest(0) }, new Uint8Array(3)),
      RangeError,
      /4 bytes, found 3/,
    );
    await assertRejects(() => sink.commit(undefined), TypeError, /1 leaves was committed with 0/);
  });

  test("memory sink: a tensor without bytes is complete at once", async () => {
    const sink = new MemorySink(createDescriptor("F32", [0, 5]));
    await sink.begin(VERSION, []);
    await sink.commit(undefined);
    assert.equal(sink.bytes.byteLength, 0);
  });
};
