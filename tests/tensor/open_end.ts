import { assert } from "chai";
import { IntegrityError } from "../../lib/errors.ts";
import { OpenEnd } from "../../lib/tensor/open_end.ts";
import type { Suite } from "../harness.ts";

const TiB = 2 ** 40;

export const openEndSuite: Suite = ({ test }) => {
  test("open end: the cap is as many rows as 1 TiB holds, or as many as were given", () => {
    const { cap } = new OpenEnd("F32", [Infinity, 3, 100]);
    assert.deepEqual(cap.shape, [Math.floor(TiB / 1200), 3, 100]);
    assert.isAtMost(cap.byteLength, TiB);
    assert.deepEqual(new OpenEnd("BF16", [7, 2]).cap, {
      dtype: "BF16",
      shape: [7, 2],
      byteLength: 28,
    });
    assert.deepEqual(new OpenEnd("U8", [Infinity]).cap.shape, [TiB]);
  });

  test("open end: the tensor has the rows that came, whole ones only", () => {
    const rows = new OpenEnd("F32", [Infinity, 3]);
    assert.deepEqual(rows.ended(36), { dtype: "F32", shape: [3, 3], byteLength: 36 });
    assert.deepEqual(rows.ended(0).shape, [0, 3]);
    assert.throws(() => rows.ended(37), IntegrityError, /multiple of 12 bytes.*after 37/);
    const blocks = new OpenEnd("Q4_0", [Infinity]);
    assert.deepEqual(blocks.ended(36).shape, [64]);
    assert.throws(() => blocks.ended(20), IntegrityError, /multiple of 18/);
    assert.deepEqual(new OpenEnd("Q4_0", [Infinity, 64]).ended(72).shape, [2, 64]);
  });

  test("open end: refuses shapes whose rows cannot be counted", () => {
    assert.throws(() => new OpenEnd("F32", []), RangeError, /dimension that is open/);
    assert.throws(() => new OpenEnd("F32", [Infinity, 0]), RangeError, /found 0/);
    assert.throws(() => new OpenEnd("F32", [Infinity, TiB]), RangeError, /takes 1 to/);
    assert.throws(() => new OpenEnd("F32", [-1, 3]), RangeError, /Dimension 0/);
    assert.throws(() => new OpenEnd("F32", [3, Infinity]), RangeError, /Dimension 1/);
    assert.throws(() => new OpenEnd("F7" as "F32", [3]), TypeError, /F7/);
  });
};
