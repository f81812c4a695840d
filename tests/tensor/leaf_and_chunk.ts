import { assert } from "chai";
import fc from "fast-check";
import {
  checkChunkBytes,
  chunkEnd,
  MAX_CHUNK_BYTES,
  MIN_CHUNK_BYTES,
} from "../../lib/tensor/chunk.ts";
import { LEAF_BYTES, leafCount, leafLength } from "../../lib/tensor/leaf.ts";
import type { Suite } from "../harness.ts";

const anyChunkBytes = fc.oneof(
  fc.integer({ min: MIN_CHUNK_BYTES, max: MAX_CHUNK_BYTES }),
  fc.integer({ min: MIN_CHUNK_BYTES, max: 2 * LEAF_BYTES }),
  fc.constantFrom(MIN_CHUNK_BYTES, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, MAX_CHUNK_BYTES),
);

/** Where a tensor is looked at: near its beginning and far past 2^32. */
const anyStart = fc.oneof(
  fc.constant(0),
  fc.nat(2 ** 31),
  fc.nat(2 ** 22).map((n) => n * 2 ** 30),
);

export const leafAndChunkSuite: Suite = ({ test }) => {
  test("leaf: leaves tile the tensor, only the last one short, none empty", () => {
    const anyLength = fc.oneof(
      fc.nat(5 * LEAF_BYTES),
      fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      fc
        .nat(4)
        .chain((leaves) =>
          fc.constantFrom(-1, 0, 1).map((by) => Math.max(0, leaves * LEAF_BYTES + by)),
        ),
    );
    fc.assert(
      fc.property(anyLength, (byteLength) => {
        const total = leafCount(byteLength);
        if (byteLength === 0) return assert.equal(total, 0);
        const last = leafLength(total - 1, byteLength);
        assert.isAtLeast(last, 1);
        assert.isAtMost(last, LEAF_BYTES);
        assert.equal((total - 1) * LEAF_BYTES + last, byteLength);
        if (total > 1) assert.equal(leafLength(total - 2, byteLength), LEAF_BYTES);
      }),
    );
  });

  test("chunk: chunks of any size tile the tensor and hold part of one leaf or whole leaves", () => {
    fc.assert(
      fc.property(anyChunkBytes, anyStart, (chunkBytes, near) => {
        // Any chunk's end is a chunk's beginning, so the walk may start anywhere on the way.
        let at = near === 0 ? 0 : chunkEnd(near, chunkBytes);
        for (let chunks = 0; chunks < 200; chunks++) {
          const end = chunkEnd(at, chunkBytes);
          assert.isAbove(end, at);
          assert.isAtMost(end - at, chunkBytes);
          const firstLeaf = Math.floor(at / LEAF_BYTES);
          const lastLeaf = Math.floor((end - 1) / LEAF_BYTES);
          if (firstLeaf !== lastLeaf || chunkBytes >= LEAF_BYTES) {
            assert.equal(at % LEAF_BYTES, 0);
            assert.equal(end % LEAF_BYTES, 0);
          }
          at = end;
        }
      }),
    );
  });

  test("chunk: as few chunks as the size allows, the same from whatever byte one asks", () => {
    fc.assert(
      fc.property(anyChunkBytes, anyStart, fc.nat(), (chunkBytes, near, seed) => {
        const at = near === 0 ? 0 : chunkEnd(near, chunkBytes);
        const end = chunkEnd(at, chunkBytes);
        const within = at + (seed % (end - at));
        assert.equal(chunkEnd(within, chunkBytes), end);
        if (chunkBytes >= LEAF_BYTES) assert.isAbove(end - at + LEAF_BYTES, chunkBytes);
        else if (end % LEAF_BYTES !== 0) assert.equal(end - at, chunkBytes);
      }),
    );
  });

  test("chunk: sizes that are no whole number from 1 KiB to 64 MiB are refused", () => {
    assert.equal(checkChunkBytes(1024), 1024);
    assert.equal(checkChunkBytes(64 * 1024 * 1024), 64 * 1024 * 1024);
    for (const chunkBytes of [0, 1023, 1024.5, 64 * 1024 * 1024 + 1, Number.NaN, Infinity, -1024]) {
      assert.throws(() => checkChunkBytes(chunkBytes), RangeError, /from 1024 to 67108864, found/);
    }
  });
};
