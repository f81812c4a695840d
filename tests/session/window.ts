// A transfer's window, over links that are simulated leaf by leaf.
import { assert } from "chai";
import { LeafLedger } from "../../lib/session/leaf_ledger.ts";
import { Window } from "../../lib/session/window.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import type { Suite } from "../harness.ts";

const MiB = 1024 * 1024;
const FIRST_BYTES = 8 * MiB;
const DIGEST = new Uint8Array(32);

/** How a transfer goes. */
interface Course {
  readonly megabits: number;
  readonly rttMs: number;
  readonly leaves: number;
  /** The most that the window may become. */
  readonly mostBytes?: number;
  /** How long whoever takes a leaf is busy with it. */
  readonly takeMs?: number;
}

/** Sends as the window allows, each leaf taken as soon as it is there and the one before is. */
function run(course: Course): { window: Window; share: number } {
  const { megabits, rttMs, leaves, mostBytes = 512 * MiB, takeMs = 0 } = course;
  const bytesPerMs = 125 * megabits;
  const window = new Window(FIRST_BYTES, mostBytes);
  const ledger = new LeafLedger(leaves * LEAF_BYTES, 0);
  const events: { readonly atMs: number; readonly happen: () => void }[] = [];
  const at = (atMs: number, happen: () => void) => {
    events.push({ atMs, happen });
    events.sort((a, b) => a.atMs - b.atMs);
  };
  let nowMs = 0;
  let linkFreeMs = 0;
  let takerFreeMs = 0;
  let sentLeaves = 0;
  let limitBytes = 0;
  const allow = (bytes: number | undefined) => {
    if (bytes === undefined) return;
    at(nowMs + rttMs / 2, () => {
      limitBytes = Math.max(limitBytes, bytes);
      send();
    });
  };
  const send = () => {
    while (sentLeaves < leaves && (sentLeaves + 1) * LEAF_BYTES <= limitBytes) {
      const index = sentLeaves++;
      linkFreeMs = Math.max(linkFreeMs, nowMs) + LEAF_BYTES / bytesPerMs;
      takerFreeMs = Math.max(takerFreeMs, linkFreeMs + rttMs / 2) + takeMs;
      at(takerFreeMs, () => {
        ledger.keep({ index, digest: DIGEST }, true);
        window.consumed(ledger.consumedBytes, rttMs, nowMs);
        allow(ledger.grant(window.bytes));
      });
    }
  };
  allow(ledger.grant(window.bytes, true));
  for (let next = events.shift(); next; next = events.shift()) {
    nowMs = next.atMs;
    next.happen();
  }
  return { window, share: (leaves * LEAF_BYTES) / bytesPerMs / nowMs };
}

export const windowSuite: Suite = ({ test }) => {
  for (const [megabits, rttMs] of [
    [10, 20],
    [100, 100],
    [1_000, 50],
    [1_000, 200],
    [10_000, 10],
  ] as const) {
    test(`window: grows to what ${megabits} Mbit/s over ${rttMs} ms hold, and not far beyond`, () => {
      const { window, share } = run({ megabits, rttMs, leaves: 2_000 });
      const productBytes = 125 * megabits * rttMs;
      assert.isAtLeast(share, 0.85);
      assert.isAtLeast(window.bytes, productBytes);
      assert.isAtMost(window.bytes, Math.max(FIRST_BYTES, 4 * productBytes));
    });
  }

  test("window: one that a slow taker holds back does not grow", () => {
    const { window } = run({ megabits: 1_000, rttMs: 20, leaves: 500, takeMs: 50 });
    assert.equal(window.bytes, FIRST_BYTES);
  });

  test("window: never grows past its most, and begins no lower than it must", () => {
    const { window } = run({ megabits: 10_000, rttMs: 100, leaves: 2_000, mostBytes: 48 * MiB });
    assert.equal(window.bytes, 48 * MiB);
    assert.equal(new Window(FIRST_BYTES, MiB).bytes, FIRST_BYTES);
  });
};
