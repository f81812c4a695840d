import { assert } from "chai";
import { type GiveBack, NO_PLACE, ReadAhead } from "../../lib/session/read_ahead.ts";
import { type Claim, createClaim, PriorityScheduler } from "../../lib/session/scheduler.ts";
import { OutgoingCredit } from "../../lib/streams/outgoing_credit.ts";
import type { Suite } from "../harness.ts";
import { ManualClock } from "./support/manual_clock.ts";

const MiB = 1024 * 1024;

/** Who reads ahead on a connection, and what they were given, in order. */
class Lab {
  readonly clock: ManualClock = new ManualClock();
  readonly credit: OutgoingCredit = new OutgoingCredit();
  readonly readAhead: ReadAhead;
  readonly #places: { readonly claim: Claim; readonly giveBack: GiveBack }[] = [];

  constructor(creditBytes: number = 1000 * MiB) {
    this.readAhead = new ReadAhead(new PriorityScheduler(), this.credit, this.clock);
    this.credit.onRaise = () => this.readAhead.look();
    this.credit.raise(creditBytes);
  }

  /** Wants the next place for a claim. */
  take(claim: Claim, bytes: number = MiB, creditBytes: number = bytes): void {
    void this.readAhead.take(claim, bytes, creditBytes).then((giveBack) => {
      if (giveBack !== NO_PLACE) this.#places.push({ claim, giveBack });
    });
  }

  /** Whose places there are, the oldest first. */
  async ahead(): Promise<readonly Claim[]> {
    // Places are handed out in microtasks.
    for (let n = 0; n < 3; n++) await undefined;
    return this.#places.map(({ claim }) => claim);
  }

  /** The oldest place of a claim is free again. */
  sent(claim: Claim, unusedBytes?: number): void {
    const at = this.#places.findIndex((place) => place.claim === claim);
    const [place] = this.#places.splice(at, 1);
    if (at < 0 || !place) throw new Error("It has no place");
    place.giveBack(unusedBytes);
    place.giveBack(unusedBytes); // Once is all that counts.
  }
}

const claims = (...priorities: readonly number[]): Claim[] => priorities.map(createClaim);

export const readAheadSuite: Suite = ({ test }) => {
  test("read ahead: two chunks at or above a priority are ahead of the link", async () => {
    const lab = new Lab();
    const [a, b, c, urgent, low] = claims(50, 50, 50, 200, 0) as [
      Claim,
      Claim,
      Claim,
      Claim,
      Claim,
    ];
    for (const claim of [low, a, b, c]) lab.take(claim);
    assert.deepEqual(await lab.ahead(), [low, a, b], "those below do not count");
    lab.take(low);
    lab.take(urgent);
    assert.deepEqual(await lab.ahead(), [low, a, b, urgent]);
    lab.take(urgent);
    assert.deepEqual(await lab.ahead(), [low, a, b, urgent, urgent]);
    lab.take(urgent);
    lab.sent(a);
    assert.deepEqual(await lab.ahead(), [low, b, urgent, urgent], "three are ahead of c");
    lab.sent(urgent);
    assert.deepEqual(await lab.ahead(), [low, b, urgent, urgent]);
    for (const sent of [urgent, urgent]) lab.sent(sent);
    assert.deepEqual(await lab.ahead(), [low, b, c]);
    for (const sent of [b, c]) lab.sent(sent);
    assert.deepEqual(await lab.ahead(), [low, low]);
  });

  test("read ahead: of small ones, as many as two mebibytes hold", async () => {
    const lab = new Lab();
    const small = Array.from({ length: 40 }, () => createClaim(50));
    for (const claim of small) lab.take(claim, MiB / 16);
    assert.deepEqual(await lab.ahead(), small.slice(0, 32));
    const [large] = claims(50) as [Claim];
    lab.take(large, 4 * MiB);
    for (const claim of small.slice(0, 8)) lab.sent(claim);
    assert.deepEqual(await lab.ahead(), small.slice(8));
    for (const claim of small.slice(8, 38)) lab.sent(claim);
    assert.notInclude(await lab.ahead(), large);
    lab.sent(small[38] as Claim);
    assert.include(await lab.ahead(), large);
  });

  test("read ahead: credit is taken in order, and nobody smaller passes by", async () => {
    const lab = new Lab(2 * MiB);
    const [high, low] = claims(100, 50) as [Claim, Claim];
    lab.take(high, 3 * MiB);
    lab.take(low, MiB);
    assert.isEmpty(await lab.ahead());
    lab.credit.raise(3 * MiB);
    assert.deepEqual(await lab.ahead(), [high]);
    assert.equal(lab.credit.leftBytes, 0);
    lab.credit.raise(3.5 * MiB);
    assert.deepEqual(await lab.ahead(), [high]);
    lab.credit.raise(4 * MiB);
    assert.deepEqual(await lab.ahead(), [high, low]);
  });

  test("read ahead: credit that was not needed goes to who waits for it", async () => {
    const lab = new Lab(2 * MiB);
    const [one, other] = claims(50, 50) as [Claim, Claim];
    lab.take(one, 2 * MiB);
    lab.take(other, MiB);
    assert.deepEqual(await lab.ahead(), [one]);
    lab.sent(one, 1.5 * MiB);
    assert.deepEqual(await lab.ahead(), [other]);
    assert.equal(lab.credit.leftBytes, MiB / 2);
    lab.sent(other);
    assert.equal(lab.credit.leftBytes, MiB / 2);
  });

  test("read ahead: what is sent again does not wait for those who wait for credit", async () => {
    const lab = new Lab(0);
    const [high, equal, again] = claims(200, 50, 50) as [Claim, Claim, Claim];
    lab.take(equal);
    lab.take(high);
    lab.take(again, MiB, 0);
    assert.deepEqual(await lab.ahead(), [again]);
    lab.take(again, MiB, 0);
    lab.sent(again);
    assert.deepEqual(await lab.ahead(), [again]);
    lab.credit.raise(MiB);
    assert.deepEqual(await lab.ahead(), [again, high]);
  });

  test("read ahead: who leaves gets no place, and holds up nobody", async () => {
    const lab = new Lab(MiB);
    const [high, low] = claims(200, 50) as [Claim, Claim];
    const left = lab.readAhead.take(high, 2 * MiB, 2 * MiB);
    lab.take(low);
    assert.isEmpty(await lab.ahead());
    lab.readAhead.leave(high);
    assert.strictEqual(await left, NO_PLACE);
    assert.deepEqual(await lab.ahead(), [low]);
    lab.readAhead.leave(high);
    lab.take(high, 0);
    assert.deepEqual(await lab.ahead(), [low, high], "it may come back");
  });

  test("read ahead: a priority that is raised counts at once", async () => {
    const lab = new Lab();
    const [a, b, c] = claims(50, 50, 50) as [Claim, Claim, Claim];
    for (const claim of [a, b, c]) lab.take(claim);
    assert.deepEqual(await lab.ahead(), [a, b]);
    c.priority = 51;
    lab.readAhead.look();
    assert.deepEqual(await lab.ahead(), [a, b, c]);
  });

  test("read ahead: one that waits long gets a place beside those above it, one at a time", async () => {
    const lab = new Lab();
    const [high, low] = claims(100, 50) as [Claim, Claim];
    // The high ones are always there, two ahead and one that waits.
    for (let n = 0; n < 3; n++) lab.take(high);
    await lab.ahead();
    lab.take(low);
    const count = { high: 0, low: 0 };
    for (let n = 0; n < 60; n++) {
      await lab.clock.advance(100);
      // The link sends what is high first; the low one's turn comes every ten.
      const ahead = await lab.ahead();
      assert.lengthOf(
        ahead.filter((claim) => claim === high),
        2,
      );
      assert.isAtMost(ahead.filter((claim) => claim === low).length, 1);
      const isLow = n % 10 === 9 && ahead.includes(low);
      const sent = isLow ? low : high;
      lab.sent(sent);
      lab.take(sent);
      count[isLow ? "low" : "high"]++;
    }
    assert.deepEqual(count, { high: 54, low: 6 });
  });

  test("read ahead: low ones that are ahead already do not hold up what is high", async () => {
    // A slow link: each chunk takes longer than it takes to be helped for having waited.
    const lab = new Lab();
    const lows = claims(50, 50, 50) as [Claim, Claim, Claim];
    for (const low of lows) lab.take(low);
    await lab.ahead();
    const [high] = claims(100) as [Claim];
    for (let n = 0; n < 20; n++) {
      await lab.clock.advance(840);
      lab.take(high);
      assert.include(await lab.ahead(), high, `after ${n}`);
      lab.sent(high);
    }
  });
};
