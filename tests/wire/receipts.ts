import { assert } from "chai";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { decodeReceipts, encodeReceipts, type StreamRun } from "../../lib/wire/receipts.ts";
import type { Suite } from "../harness.ts";
import { concat, vectors } from "./vectors.ts";

const bodies = vectors.binary
  .filter(({ kind }) => kind === "receipts")
  .map(({ bytes }) => bytes.slice(16, -4));

/** A body of these runs, however wrong they are. */
function bodyOf(...runs: readonly StreamRun[]): Uint8Array {
  const body = new Uint8Array(8 * runs.length);
  const view = new DataView(body.buffer);
  for (const [n, { first, count }] of runs.entries()) {
    view.setUint32(8 * n, first, true);
    view.setUint32(8 * n + 4, count, true);
  }
  return body;
}

const streamsOf = (runs: readonly StreamRun[]): number[] =>
  runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, n) => first + 2 * n));

export const receiptsSuite: Suite = ({ test }) => {
  test("receipts: a body cut inside a run is refused, and so is one of no runs", () => {
    for (const body of bodies) {
      for (let length = 0; length < body.byteLength; length++) {
        const read = () => decodeReceipts(body.subarray(0, length));
        if (length > 0 && length % 8 === 0) assert.lengthOf(read(), length / 8);
        else assert.throws(read, ProtocolError, /ends? inside|are none/);
      }
      assert.throws(() => decodeReceipts(concat([body, new Uint8Array(7)])), ProtocolError);
    }
  });

  test("receipts: runs that no connection can have are refused, without counting them out", () => {
    const most = [
      { first: 1, count: 2 ** 31 },
      { first: 2, count: 2 ** 31 - 1 },
      { first: 2 ** 32 - 1, count: 1 },
    ];
    for (const run of most) assert.deepEqual(decodeReceipts(bodyOf(run)), [run]);
    const wrong = [
      { first: 0, count: 1 },
      { first: 1, count: 0 },
      { first: 1, count: 2 ** 31 + 1 },
      { first: 2, count: 2 ** 31 },
      { first: 2 ** 32 - 1, count: 2 },
      { first: 2 ** 32 - 2, count: 2 ** 32 - 1 },
    ];
    for (const run of wrong) {
      const body = bodyOf({ first: 7, count: 1 }, run);
      assert.throws(() => decodeReceipts(body), ProtocolError, `${run.count} streams`);
    }
  });

  test("receipts: streams two apart make one run, in the order in which they were taken", () => {
    const runsOf = (...streams: number[]) =>
      [...encodeReceipts(streams)].flatMap((body) => decodeReceipts(body));
    assert.deepEqual(runsOf(1, 3, 5, 6, 8, 7), [
      { first: 1, count: 3 },
      { first: 6, count: 2 },
      { first: 7, count: 1 },
    ]);
    assert.deepEqual(runsOf(5, 3, 1), [
      { first: 5, count: 1 },
      { first: 3, count: 1 },
      { first: 1, count: 1 },
    ]);
    assert.deepEqual(runsOf(), []);
  });

  test("receipts: whatever was taken is read back, in bodies that a frame has room for", () => {
    const streams = fc.array(fc.integer({ min: 1, max: 2 ** 32 - 1 }), { maxLength: 300 });
    const runs = fc.array(
      fc.record({
        first: fc.integer({ min: 1, max: 2 ** 31 }),
        count: fc.integer({ min: 1, max: 50 }),
      }),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(fc.oneof(streams, runs.map(streamsOf)), (taken) => {
        const read = [...encodeReceipts(taken)].flatMap((body) => decodeReceipts(body));
        assert.deepEqual(streamsOf(read), taken);
      }),
    );
    // No two of them are neighbours.
    const scattered = Array.from({ length: 20_000 }, (_, n) => 1 + 4 * n);
    const pages = [...encodeReceipts(scattered)];
    assert.isAbove(pages.length, 1);
    for (const page of pages) assert.isAtMost(page.byteLength, 65_536 - 4);
    assert.deepEqual(streamsOf(pages.flatMap((page) => decodeReceipts(page))), scattered);
  });

  test("receipts: random bytes are read or refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          assert.deepEqual(bodyOf(...decodeReceipts(bytes)), bytes);
        } catch (error) {
          assert.instanceOf(error, ProtocolError);
        }
      }),
    );
  });
};
