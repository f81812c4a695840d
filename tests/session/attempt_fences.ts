import { assert } from "chai";
import { type Deferred, deferred } from "../../lib/deferred.ts";
import { RemoteError } from "../../lib/errors.ts";
import { AttemptFences } from "../../lib/session/attempt_fences.ts";
import type { Suite } from "../harness.ts";
import { settle } from "./support/manual_clock.ts";

const ID = new Uint8Array(16).fill(1);

/** An attempt that writes until it is told to end, and a while longer. */
class Attempt {
  readonly #over: Deferred<void> = deferred();
  readonly epoch: number;
  endedBy: unknown;
  mayWrite = false;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  get over(): Promise<void> {
    return this.#over.promise;
  }

  readonly end = (reason: unknown): void => {
    this.endedBy = reason;
  };

  enter(fences: AttemptFences, id: Uint8Array = ID): void {
    fences.enter(id, this).then(() => {
      this.mayWrite = true;
    });
  }

  /** It writes no more. */
  stop(error?: unknown): void {
    if (error === undefined) this.#over.resolve();
    else this.#over.reject(error);
  }
}

const attempts = (count: number): Attempt[] =>
  Array.from({ length: count }, (_, epoch) => new Attempt(epoch));

export const attemptFencesSuite: Suite = ({ test }) => {
  test("fences: a newer attempt ends the older one, and waits until that writes no more", async () => {
    const fences = new AttemptFences();
    for (const error of [undefined, new Error("cut")]) {
      const id = new Uint8Array(16).fill(error ? 1 : 2);
      const [first, second] = attempts(2) as [Attempt, Attempt];
      first.enter(fences, id);
      await settle();
      assert.isTrue(first.mayWrite);
      second.enter(fences, id);
      await settle();
      assert.instanceOf(first.endedBy, RemoteError);
      assert.equal((first.endedBy as RemoteError).remoteCode, "stale_epoch");
      assert.isFalse(second.mayWrite);
      first.stop(error);
      await settle();
      assert.isTrue(second.mayWrite);
      assert.isUndefined(second.endedBy);
    }
  });

  test("fences: one that is not newer is refused, and harms nobody", async () => {
    const fences = new AttemptFences();
    const [older, newer] = attempts(2) as [Attempt, Attempt];
    newer.enter(fences);
    await settle();
    for (const epoch of [0, 1]) {
      assert.throws(() => fences.enter(ID, new Attempt(epoch)), RemoteError, /not newer than/);
    }
    assert.isUndefined(newer.endedBy);
    older.enter(fences, new Uint8Array(16));
    await settle();
    assert.isTrue(older.mayWrite, "another transfer");
    newer.stop();
    await settle();
    older.enter(fences);
    await settle();
    assert.isTrue(older.mayWrite, "nothing is left of one that is over");
  });

  test("fences: whoever comes third waits for the first, even when the second is over at once", async () => {
    for (const isOverBefore of [true, false]) {
      const fences = new AttemptFences();
      const [first, second, third] = attempts(3) as [Attempt, Attempt, Attempt];
      first.enter(fences);
      second.enter(fences);
      if (isOverBefore) second.stop(new Error("cut"));
      await settle();
      third.enter(fences);
      second.stop();
      await settle();
      assert.isFalse(third.mayWrite, "the first still writes");
      first.stop();
      await settle();
      assert.isTrue(third.mayWrite);
    }
  });
};
