import { assert } from "chai";
import fc from "fast-check";
import { ReaderBudget, ReaderLine } from "../../lib/session/reader_budget.ts";
import type { Suite } from "../harness.ts";

const MiB = 1024 * 1024;
const WINDOW = 64 * MiB;

/** A transfer to a reader: what was granted, and what the reader has taken. */
class Reading {
  readonly line: ReaderLine;
  readonly #budget: ReaderBudget;
  readonly #chunkBytes: number;
  readonly #windowBytes: number;
  #limit = 0;
  #taken = 0;
  isWaiting = false;
  /** How often the budget said that there may be more. */
  asked = 0;

  constructor(
    budget: ReaderBudget,
    options: { chunkBytes?: number; windowBytes?: number; takesAtOnce?: boolean } = {},
  ) {
    const { chunkBytes = MiB, windowBytes = 32 * MiB, takesAtOnce = true } = options;
    this.#budget = budget;
    this.#chunkBytes = chunkBytes;
    this.#windowBytes = windowBytes;
    this.line = new ReaderLine(
      () => {
        this.asked++;
        this.ask();
      },
      takesAtOnce && chunkBytes === MiB,
    );
  }

  get aheadBytes(): number {
    return this.#limit - this.#taken;
  }

  ask(): void {
    const bytes = this.#budget.adjust(this.line, {
      outstandingBytes: this.aheadBytes,
      wantedBytes: this.#windowBytes,
      nextBytes: this.#chunkBytes,
      // Of chunks of several leaves, it waits only when none is left of what came.
      isWaiting: this.isWaiting && (this.line.takesAtOnce || this.aheadBytes === 0),
    });
    this.#limit = Math.max(this.#limit, this.#taken + bytes);
  }

  /** The reader wants the next leaf. */
  wait(): void {
    this.isWaiting = true;
    this.ask();
  }

  /** A leaf comes, and is taken if somebody waits for it. */
  takes(): void {
    if (!this.isWaiting || this.aheadBytes < MiB) return;
    this.isWaiting = false;
    this.#taken += MiB;
    this.ask();
  }
}

const budgetOf = (windowBytes: number = WINDOW): ReaderBudget =>
  new ReaderBudget(() => windowBytes);

export const readerBudgetSuite: Suite = ({ test }) => {
  test("reader budget: each takes half of what the others leave, in whole chunks", () => {
    const budget = budgetOf();
    const ahead = [];
    for (let n = 0; n < 9; n++) {
      const reading = new Reading(budget);
      reading.ask();
      ahead.push(reading.aheadBytes / MiB);
    }
    assert.deepEqual(ahead, [12, 6, 3, 1, 1, 1, 0, 0, 0], "24 of 64 MiB in all");
    const coarse = budgetOf();
    const chunks = [];
    for (let n = 0; n < 5; n++) {
      const reading = new Reading(coarse, { chunkBytes: 4 * MiB });
      reading.ask();
      chunks.push(reading.aheadBytes / MiB);
    }
    assert.deepEqual(chunks, [12, 4, 4, 4, 0]);
  });

  test("reader budget: what one gives up goes to those who would like more, and only to them", () => {
    const budget = budgetOf();
    const content = new Reading(budget, { windowBytes: MiB });
    const first = new Reading(budget);
    const second = new Reading(budget);
    for (const reading of [content, first, second]) reading.ask();
    assert.deepEqual(
      [first, second].map(({ aheadBytes }) => aheadBytes / MiB),
      [11, 6],
    );
    budget.leave(first.line);
    assert.equal(second.aheadBytes, 11 * MiB);
    assert.equal(content.asked, 0);
    budget.leave(second.line);
    budget.leave(content.line);
    first.ask();
    assert.equal(first.aheadBytes, 12 * MiB, "nothing was lost");
  });

  test("reader budget: one that stopped with all it could get leaves the others enough", () => {
    const budget = budgetOf();
    const stopped = new Reading(budget);
    stopped.ask();
    const neighbour = new Reading(budget);
    for (let n = 0; n < 100; n++) {
      neighbour.wait();
      neighbour.takes();
    }
    assert.equal(neighbour.aheadBytes, 6 * MiB);
  });

  test("reader budget: whoever waits gets a leaf, however many have stopped and however many wait", () => {
    const budget = budgetOf(4 * MiB);
    const stopped = Array.from({ length: 20 }, () => new Reading(budget));
    for (const reading of stopped) reading.ask();
    const waiting = Array.from({ length: 300 }, () => new Reading(budget));
    for (const reading of waiting) reading.wait();
    for (const reading of waiting) assert.equal(reading.aheadBytes, MiB);
    for (let round = 0; round < 3; round++) {
      for (const reading of waiting) {
        reading.takes();
        assert.equal(reading.aheadBytes, 0, "it has stopped with nothing in memory");
        reading.wait();
        assert.equal(reading.aheadBytes, MiB);
      }
    }
  });

  test("reader budget: chunks of several leaves are helped in turn, and within a bound", () => {
    const budget = budgetOf(16 * MiB);
    const options = { chunkBytes: 4 * MiB };
    // One holds all that readers share, three want the help that there is for one.
    const stopped = new Reading(budget, options);
    stopped.ask();
    assert.equal(stopped.aheadBytes, 4 * MiB);
    const readings = [1, 2, 3].map(() => new Reading(budget, options));
    const taken = [0, 0, 0];
    for (const reading of readings) reading.wait();
    for (let n = 0; n < 120; n++) {
      const aheadBytes = readings.reduce((sum, reading) => sum + reading.aheadBytes, 0);
      assert.isAtMost(aheadBytes, 6 * MiB);
      for (const [at, reading] of readings.entries()) {
        if (reading.aheadBytes > 0) taken[at] = (taken[at] ?? 0) + 1;
        reading.takes();
        reading.wait();
      }
    }
    for (const count of taken) assert.isAtLeast(count, 30, `${taken}`);
  });

  test("reader budget: a store that may keep a leaf for ever is helped within a bound", () => {
    const budget = budgetOf(16 * MiB);
    const stores = Array.from({ length: 30 }, () => new Reading(budget, { takesAtOnce: false }));
    for (const reading of stores) reading.wait();
    const sum = stores.reduce((bytes, { aheadBytes }) => bytes + aheadBytes, 0);
    assert.equal(sum, 10 * MiB, "five eighths of the window");
  });

  test("reader budget: a window that grows is shared out", () => {
    let windowBytes = 4 * MiB;
    const budget = new ReaderBudget(() => windowBytes);
    const readings = Array.from({ length: 3 }, () => new Reading(budget));
    for (const reading of readings) reading.ask();
    assert.deepEqual(
      readings.map(({ aheadBytes }) => aheadBytes / MiB),
      [1, 0, 0],
    );
    windowBytes = 64 * MiB;
    readings[0]?.ask();
    assert.deepEqual(
      readings.map(({ aheadBytes }) => aheadBytes / MiB),
      [12, 6, 3],
    );
  });

  test("reader budget: what stays where readers stop is never more than five eighths", () => {
    const kinds = [{}, { chunkBytes: 3 * MiB }, { takesAtOnce: false }];
    const step = fc.record({
      at: fc.nat(7),
      does: fc.constantFrom("ask", "wait", "takes", "takes", "leave"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const budget = budgetOf(16 * MiB);
        const make = (n: number) => new Reading(budget, { windowBytes: 6 * MiB, ...kinds[n % 3] });
        const readings = Array.from({ length: 8 }, (_, n) => make(n));
        for (const { at, does } of steps) {
          const reading = readings[at] as Reading;
          if (does === "leave") {
            budget.leave(reading.line);
            readings[at] = make(at);
          } else {
            reading[does]();
          }
          let stayingBytes = 0;
          for (const { line, isWaiting, aheadBytes } of readings) {
            const isTaken = isWaiting && line.takesAtOnce;
            stayingBytes += Math.max(0, aheadBytes - (isTaken ? MiB : 0));
            if (isTaken) assert.isAtLeast(aheadBytes, MiB);
          }
          assert.isAtMost(stayingBytes, 10 * MiB);
        }
      }),
    );
  });
};
