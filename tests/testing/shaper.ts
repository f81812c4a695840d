import { assert } from "chai";
import { Shaper } from "../../lib/testing/shaper.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock, settle } from "../session/support/manual_clock.ts";

interface Bench {
  readonly clock: ManualClock;
  readonly shaper: Shaper;
  readonly stop: AbortController;
  /** What came out, and when. */
  readonly out: { readonly bytes: Uint8Array; readonly atMs: number }[];
  readonly errors: unknown[];
  gotBytes(): number;
}

function bench(write: (bytes: Uint8Array) => Promise<void> = async () => {}): Bench {
  const clock = new ManualClock();
  const stop = new AbortController();
  const out: Bench["out"] = [];
  const errors: unknown[] = [];
  const shaper = new Shaper({
    clock,
    signal: stop.signal,
    write: async (bytes) => {
      await write(bytes);
      out.push({ bytes, atMs: clock.now() });
    },
    onError: (error) => errors.push(error),
  });
  const gotBytes = () => out.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  return { clock, shaper, stop, out, errors, gotBytes };
}

export const shaperSuite: Suite = ({ test }) => {
  test("shaper: without a rate or a delay bytes go through at once, uncopied", async () => {
    const { shaper, out, clock } = bench();
    const bytes = new Uint8Array(300_000);
    await shaper.pass(bytes);
    assert.strictEqual(out[0]?.bytes, bytes);
    assert.equal(clock.pending, 0);
  });

  test("shaper: a rate is kept to the byte, in small steps, behind a bounded buffer", async () => {
    const { shaper, clock, gotBytes, out } = bench();
    shaper.setRate(1_000_000, 50_000);
    let isTaken = false;
    const passing = shaper.pass(new Uint8Array(500_000)).then(() => {
      isTaken = true;
    });
    for (let atMs = 0; atMs < 500; atMs += 20) {
      assert.isAtMost(shaper.heldBytes, 50_000);
      assert.closeTo(gotBytes(), atMs * 1000, 4000, `after ${atMs} ms`);
      assert.equal(isTaken, atMs > 450, `after ${atMs} ms`);
      await clock.advance(20);
    }
    await passing;
    await shaper.drained();
    assert.equal(gotBytes(), 500_000);
    assert.equal(clock.now(), 500);
    assert.isAtMost(Math.max(...out.map(({ bytes }) => bytes.byteLength)), 4000);
    assert.equal(clock.pending, 0);
  });

  test("shaper: an idle link has saved up nothing", async () => {
    const { shaper, clock, gotBytes } = bench();
    shaper.setRate(1_000_000);
    await clock.advance(10_000);
    await shaper.pass(new Uint8Array(40_000));
    await clock.advance(20);
    assert.closeTo(gotBytes(), 20_000, 4000);
    await clock.advance(20);
    await shaper.drained();
  });

  test("shaper: a delay holds each byte back, and the rate goes on meanwhile", async () => {
    const { shaper, clock, gotBytes } = bench();
    shaper.setDelay(100);
    shaper.setRate(1_000_000, 20_000);
    const passing = shaper.pass(new Uint8Array(200_000));
    await clock.advance(100);
    assert.equal(gotBytes(), 0);
    await clock.advance(100);
    assert.closeTo(gotBytes(), 100_000, 4000, "the way is as full as it is long");
    assert.isAtMost(shaper.heldBytes, 120_000);
    await clock.advance(100);
    await passing;
    await shaper.drained();
    assert.equal(gotBytes(), 200_000);
  });

  test("shaper: a shorter delay, a higher rate and none at all let nothing overtake", async () => {
    const { shaper, clock, out } = bench();
    const letThrough = async (first: number) => shaper.pass(Uint8Array.of(first));
    shaper.setDelay(50);
    await letThrough(1);
    shaper.setDelay(5);
    await letThrough(2);
    shaper.setRate(1000);
    await letThrough(3);
    shaper.setRate(Number.POSITIVE_INFINITY);
    shaper.setDelay(0);
    await letThrough(4);
    await clock.advance(49);
    assert.isEmpty(out);
    await clock.advance(1);
    assert.deepEqual(
      out.map(({ bytes }) => bytes[0]),
      [1, 2, 3, 4],
    );
    await letThrough(5);
    assert.equal(out.at(-1)?.bytes[0], 5);
  });

  test("shaper: what it holds is its own", async () => {
    const { shaper, clock, out } = bench();
    shaper.setDelay(10);
    const bytes = sharingView(3);
    await shaper.pass(bytes);
    bytes.fill(9);
    await clock.advance(10);
    assert.deepEqual([...(out[0]?.bytes ?? [])], [1, 1, 1]);
  });

  test("shaper: stopped, it lets go of timers and of whoever waits", async () => {
    const { shaper, clock, stop, out, errors } = bench();
    shaper.setRate(1000, 2000);
    const passing = shaper.pass(new Uint8Array(100_000));
    const draining = shaper.drained();
    await settle();
    assert.isAbove(clock.pending, 0);
    const reason = new Error("enough");
    stop.abort(reason);
    await assertRejects(() => passing, Error, /enough/);
    await assertRejects(() => draining, Error, /enough/);
    await settle();
    assert.equal(clock.pending, 0);
    assert.isEmpty(out);
    assert.isEmpty(errors);
  });

  test("shaper: a write that fails later is reported", async () => {
    const fault = new Error("cut");
    const { shaper, clock, errors } = bench(() => Promise.reject(fault));
    shaper.setDelay(10);
    await shaper.pass(Uint8Array.of(1));
    await clock.advance(10);
    assert.deepEqual(errors, [fault]);
  });
};

/** A view whose `slice` would not copy, as Node's buffers have it. */
function sharingView(byteLength: number): Uint8Array {
  class Sharing extends Uint8Array {
    override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
      return this.subarray(start, end) as Uint8Array<ArrayBuffer>;
    }
  }
  return new Sharing(byteLength).fill(1);
}
