import { assert } from "chai";
import fc from "fast-check";
import {
  type Claim,
  checkPriority,
  createClaim,
  PriorityScheduler,
} from "../../lib/session/scheduler.ts";
import type { Suite } from "../harness.ts";

const KiB = 1024;
const NO_AGING = Number.POSITIVE_INFINITY;

/** A claimant and what it was given. */
interface Claimant extends Claim {
  givenBytes: number;
  /** When it was served last, or came. */
  sinceMs: number;
  longestWaitMs: number;
}

function claimant(priority: number): Claimant {
  return { ...createClaim(priority), givenBytes: 0, sinceMs: 0, longestWaitMs: 0 };
}

/** A link that sends piece after piece, while everybody always has one ready. */
class Line {
  readonly scheduler: PriorityScheduler<Claimant>;
  readonly #bytesPerMs: number;
  nowMs = 0;

  constructor(bytesPerMs: number, agingMs?: number) {
    this.#bytesPerMs = bytesPerMs;
    this.scheduler = new PriorityScheduler(agingMs);
  }

  add(...claimants: readonly Claimant[]): void {
    for (const claim of claimants) {
      claim.sinceMs = this.nowMs;
      this.scheduler.enter(claim, this.nowMs);
    }
  }

  /** Sends one piece of whoever is next. */
  send(bytesOf: (claim: Claimant) => number): Claimant {
    const next = this.scheduler.next(this.nowMs);
    if (!next) throw new Error("Nobody is next");
    const bytes = bytesOf(next);
    next.longestWaitMs = Math.max(next.longestWaitMs, this.nowMs - next.sinceMs);
    next.givenBytes += bytes;
    next.sinceMs = this.nowMs;
    this.scheduler.served(next, bytes, this.nowMs);
    this.nowMs += bytes / this.#bytesPerMs;
    return next;
  }
}

const times = (count: number, step: () => void): void => {
  for (let n = 0; n < count; n++) step();
};

const spread = (claims: readonly Claimant[]): number => {
  const given = claims.map(({ givenBytes }) => givenBytes);
  return Math.max(...given) - Math.min(...given);
};

export const schedulerSuite: Suite = ({ test }) => {
  test("scheduler: nobody goes before one of higher priority, whoever comes, goes or changes", () => {
    const step = fc.record({
      at: fc.nat(7),
      does: fc.constantFrom("enter", "leave", "change", "serve", "serve", "serve"),
      priority: fc.constantFrom(0, 50, 51, 100, 255),
    });
    const steps = fc.array(step, { maxLength: 60 });
    fc.assert(
      fc.property(steps, (all) => {
        const scheduler = new PriorityScheduler<Claimant>(NO_AGING);
        const claims = Array.from({ length: 8 }, (_, n) => claimant(n * 20));
        const entered = new Set<Claimant>();
        for (const { at, does, priority } of all) {
          const claim = claims[at] as Claimant;
          if (does === "enter") {
            scheduler.enter(claim, 0);
            entered.add(claim);
          } else if (does === "leave") {
            scheduler.leave(claim);
            entered.delete(claim);
          } else if (does === "change") {
            claim.priority = priority;
          }
          assert.equal(scheduler.size, entered.size);
          const next = scheduler.next(0);
          if (entered.size === 0) assert.isUndefined(next);
          else {
            assert.equal(next?.priority, Math.max(...[...entered].map((each) => each.priority)));
          }
          if (next && does === "serve") scheduler.served(next, 1 + at * 1000, 0);
        }
      }),
    );
  });

  test("scheduler: equals that are always ready never differ by more than one piece", () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 4 * KiB * KiB }), { minLength: 1 });
    const counts = fc.integer({ min: 2, max: 9 });
    fc.assert(
      fc.property(pieces, counts, (sizes, count) => {
        const line = new Line(KiB);
        const claims = Array.from({ length: count }, () => claimant(50));
        line.add(...claims);
        const largest = Math.max(...sizes);
        let n = 0;
        times(100, () => {
          // Each has sizes of its own, small ones beside large ones.
          line.send((claim) => sizes[(claims.indexOf(claim) * 7 + n++) % sizes.length] ?? 1);
          assert.isAtMost(spread(claims), largest);
        });
      }),
    );
  });

  test("scheduler: equals share fairly while others come, go and change their priority", () => {
    const step = fc.record({
      at: fc.nat(4),
      does: fc.constantFrom("come", "go", "change", "new", ...Array(12).fill("serve")),
    });
    const steps = fc.array(step, { minLength: 30, maxLength: 150, size: "max" });
    const sizes = fc.array(fc.integer({ min: 1, max: KiB * KiB }), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(steps, sizes, (all, pieceBytes) => {
        const scheduler = new PriorityScheduler<Claimant>(NO_AGING);
        const claims = pieceBytes.map((_, n) => claimant(n % 2));
        const ready = new Set<Claimant>();
        // What each was given since both of a pair were ready at their priority.
        const given = new Map<Claimant, Map<Claimant, number>>();
        const forget = (claim: Claimant) => {
          given.set(claim, new Map());
          for (const each of given.values()) each.delete(claim);
        };
        const largest = Math.max(...pieceBytes);
        for (const { at, does } of all) {
          const claim = claims[at] as Claimant;
          if (does === "serve") {
            const next = scheduler.next(0);
            if (!next) continue;
            const bytes = pieceBytes[claims.indexOf(next)] ?? 1;
            scheduler.served(next, bytes, 0);
            const own = given.get(next);
            for (const other of ready) own?.set(other, (own.get(other) ?? 0) + bytes);
          } else {
            forget(claim);
            if (does === "change") claim.priority = 1 - claim.priority;
            if (does === "go" || does === "new") scheduler.leave(claim);
            if (does === "go") ready.delete(claim);
            if (does === "new") claims[at] = claimant(claim.priority);
            if (does === "new" || does === "come") {
              const comes = claims[at] as Claimant;
              ready.delete(claim);
              given.set(comes, given.get(comes) ?? new Map());
              scheduler.enter(comes, 0);
              ready.add(comes);
            }
          }
          for (const one of ready) {
            for (const other of ready) {
              if (one.priority !== other.priority) continue;
              const mine = given.get(one)?.get(other) ?? 0;
              const theirs = given.get(other)?.get(one) ?? 0;
              // One that joins may be a piece beside the others from the beginning.
              assert.isAtMost(Math.abs(mine - theirs), 2 * largest);
            }
          }
        }
      }),
    );
  });

  test("scheduler: who comes back, or comes late, does not catch up on what the others had", () => {
    const line = new Line(KiB);
    const [early, late, away] = [claimant(50), claimant(50), claimant(50)];
    line.add(early, away);
    times(4, () => line.send(() => 64 * KiB));
    line.scheduler.leave(away);
    times(1000, () => line.send(() => 64 * KiB));
    const before = [early.givenBytes, away.givenBytes] as const;
    // The one that has had the most is away for a moment itself when the others come.
    line.scheduler.leave(early);
    line.add(late, away);
    line.add(early);
    times(300, () => line.send(() => 64 * KiB));
    const since = [early.givenBytes - before[0], away.givenBytes - before[1], late.givenBytes];
    for (const bytes of since) assert.closeTo(bytes, 100 * 64 * KiB, 64 * KiB);
  });

  test("scheduler: one after another that comes new does not pass by the one that is there", () => {
    const line = new Line(KiB);
    const bulk = claimant(50);
    line.add(bulk);
    let smallBytes = 0;
    times(1000, () => {
      const small = claimant(50);
      line.add(small);
      while (line.send((claim) => (claim === bulk ? 64 * KiB : 4 * KiB)) !== small);
      smallBytes += small.givenBytes;
      line.scheduler.leave(small);
    });
    assert.isAtLeast(bulk.givenBytes, smallBytes);
  });

  test("scheduler: one that is away between its pieces gets its share of the bytes", () => {
    // As who reads ahead: each leaves when it is given its place, and comes back for the next.
    const line = new Line(KiB);
    const [small, large] = [claimant(50), claimant(50)];
    line.add(small, large);
    times(2000, () => {
      const sent = line.send((claim) => (claim === large ? 4096 * KiB : 64 * KiB));
      line.scheduler.leave(sent);
      line.add(sent);
    });
    assert.isAtMost(spread([small, large]), 4096 * KiB);
  });

  test("scheduler: two hundred share fairly", () => {
    const line = new Line(100 * KiB);
    const claims = Array.from({ length: 200 }, () => claimant(50));
    line.add(...claims);
    times(5000, () => line.send(() => 64 * KiB));
    assert.equal(spread(claims), 0, "25 pieces each");
    times(100, () => line.send(() => 64 * KiB));
    assert.equal(spread(claims), 64 * KiB);
  });

  test("scheduler: a changed priority holds for the very next piece", () => {
    const line = new Line(KiB, NO_AGING);
    const [bulk, other] = [claimant(50), claimant(50)];
    line.add(bulk, other);
    times(10, () => line.send(() => 64 * KiB));
    bulk.priority = 100;
    times(10, () =>
      assert.strictEqual(
        line.send(() => 64 * KiB),
        bulk,
      ),
    );
    bulk.priority = 0;
    times(7, () =>
      assert.strictEqual(
        line.send(() => 64 * KiB),
        other,
      ),
    );
    // Back among its equals it neither catches up nor is it made to wait.
    bulk.priority = 50;
    const before = [bulk.givenBytes, other.givenBytes] as const;
    times(10, () => line.send(() => 64 * KiB));
    assert.equal(bulk.givenBytes - before[0], 5 * 64 * KiB);
    assert.equal(other.givenBytes - before[1], 5 * 64 * KiB);
  });

  test("scheduler: who waits long is helped, the others lose one piece in 500 ms at most", () => {
    // 10 Mbit/s: a fragment of 64 KiB takes 52 ms.
    for (const lows of [1, 2, 7, 40]) {
      const line = new Line(1250);
      const [high, same] = [claimant(200), claimant(200)];
      const below = Array.from({ length: lows }, (_, n) => claimant((n * 5) % 100));
      line.add(high, ...below, same);
      const pieceMs = (64 * KiB) / 1250;
      const sendMs = (lows + 2) * 500 * 3;
      while (line.nowMs < sendMs) line.send(() => 64 * KiB);
      const n = lows + 2;
      for (const claim of [high, same, ...below]) {
        assert.isAtMost(claim.longestWaitMs, n * 500 + pieceMs, `of ${lows}`);
        assert.isAtMost(line.nowMs - claim.sinceMs, n * 500 + pieceMs, `of ${lows}`);
      }
      const lostBytes = below.reduce((sum, { givenBytes }) => sum + givenBytes, 0);
      assert.isAtMost(lostBytes, Math.ceil(line.nowMs / 500) * 64 * KiB);
      assert.isAtLeast(Math.min(...below.map(({ givenBytes }) => givenBytes)), 64 * KiB);
      assert.isAtMost(spread([high, same]), 64 * KiB, "the helped ones are not counted");
    }
  });

  test("scheduler: where a piece takes longer than one waits, the order is not turned round", () => {
    // Chunks of 1 MiB at 10 Mbit/s take 839 ms, each longer than what makes a claimant old.
    const line = new Line(1250);
    const high = claimant(100);
    const below = Array.from({ length: 5 }, () => claimant(50));
    line.add(...below, high);
    times(400, () => line.send(() => KiB * KiB));
    assert.isAtLeast(high.givenBytes, 299 * KiB * KiB);
    for (const { givenBytes } of below) assert.isAtLeast(givenBytes, 19 * KiB * KiB);
  });

  test("scheduler: only who may go is next, and only who may go is helped", () => {
    const scheduler = new PriorityScheduler<Claim>();
    const [high, middle, low] = [createClaim(200), createClaim(100), createClaim(0)];
    for (const claim of [low, middle, high]) scheduler.enter(claim, 0);
    assert.strictEqual(
      scheduler.next(1, (claim) => claim !== high),
      middle,
    );
    assert.isUndefined(scheduler.next(1, () => false));
    assert.strictEqual(
      scheduler.next(600, (claim) => claim !== low),
      middle,
      "for its age",
    );
    assert.strictEqual(
      scheduler.next(600, (claim) => claim === high),
      high,
    );
    scheduler.leave(middle);
    assert.strictEqual(scheduler.next(600), low);
    scheduler.leave(low);
    assert.strictEqual(scheduler.next(600), high);
  });

  test("scheduler: a priority is a whole number from 0 to 255", () => {
    for (const priority of [0, 50, 255]) assert.equal(checkPriority(priority), priority);
    for (const priority of [-1, 256, 0.5, Number.NaN]) {
      assert.throws(() => checkPriority(priority), RangeError, /from 0 to 255/);
    }
  });
};
