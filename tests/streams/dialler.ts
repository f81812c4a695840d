import { assert } from "chai";
import { type Deferred, deferred } from "../../lib/deferred.ts";
import { ProtocolError, RetryExhaustedError, TransportError } from "../../lib/errors.ts";
import { DEFAULT_RETRY_POLICY } from "../../lib/retry.ts";
import { Dialler } from "../../lib/streams/dialler.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock, settle } from "../session/support/manual_clock.ts";

interface Opened {
  readonly ended: Deferred<void>;
}

/** A dialler whose dials the test answers one by one. */
function scene(maxRetries = 1): {
  clock: ManualClock;
  dials: Deferred<Opened>[];
  discarded: unknown[];
  dialler: Dialler<Opened>;
} {
  const clock = new ManualClock();
  const dials: Deferred<Opened>[] = [];
  const discarded: unknown[] = [];
  const dialler = new Dialler<Opened>({
    open: () => {
      const dial = deferred<Opened>();
      dials.push(dial);
      return dial.promise;
    },
    ended: (opened) => opened.ended.promise,
    discard: (_opened, reason) => discarded.push(reason),
    policy: () => ({ ...DEFAULT_RETRY_POLICY, maxRetries, jitterFactor: 0 }),
    clock,
    random: () => 0,
  });
  return { clock, dials, discarded, dialler };
}

export const diallerSuite: Suite = ({ test }) => {
  test("dialler: all who ask at once share one dial, and later ones its link", async () => {
    const { dials, dialler } = scene();
    const asked = [dialler.link(), dialler.link()];
    const opened = { ended: deferred<void>() };
    dials[0]?.resolve(opened);
    for (const link of await Promise.all(asked)) assert.strictEqual(link, opened);
    assert.strictEqual(await dialler.link(), opened);
    assert.lengthOf(dials, 1);
  });

  test("dialler: a dial goes on while one still waits, and is let go when none does", async () => {
    const { dials, discarded, dialler, clock } = scene();
    const [first, second] = [new AbortController(), new AbortController()];
    const links = [first, second].map(({ signal }) => dialler.link(signal).catch((why) => why));
    first.abort("first");
    assert.equal(await links[0], "first");
    second.abort("second");
    assert.equal(await links[1], "second");
    dials[0]?.resolve({ ended: deferred() }); // too late
    await settle();
    assert.deepEqual(discarded, ["second"]);
    assert.isUndefined(dialler.current);
    assert.equal(clock.pending, 0);
  });

  test("dialler: what opens after it was closed is let go", async () => {
    const { dials, discarded, dialler } = scene();
    const link = dialler.link().catch((why: unknown) => why);
    dialler.close("over");
    dials[0]?.resolve({ ended: deferred() });
    assert.equal(await link, "over");
    assert.deepEqual(discarded, ["over"]);
    assert.equal(await dialler.link().catch((why: unknown) => why), "over");
    assert.lengthOf(dials, 1);
  });

  test("dialler: counts failed dials and lost links together, anew after progress or giving up", async () => {
    const { clock, dials, dialler } = scene();
    const cut = new TransportError("cut");
    const opened = { ended: deferred<void>() };
    const link = dialler.link();
    dials[0]?.resolve(opened);
    await link;
    opened.ended.reject(cut);
    await settle();
    const failed = assertRejects(() => dialler.link(), RetryExhaustedError, /after 2 .*: refused/);
    await clock.advance(500);
    dials[1]?.reject(new TransportError("refused"));
    await failed;
    const again = dialler.link();
    dials[2]?.resolve({ ended: deferred() });
    await again;
    assert.deepEqual(clock.delaysMs, [500]);
    assert.equal(clock.pending, 0);
  });

  test("dialler: what no retry mends is thrown as it is", async () => {
    const { clock, dials, dialler } = scene();
    const link = dialler.link();
    link.catch(() => {});
    dials[0]?.reject(new ProtocolError("not headrace"));
    await assertRejects(() => link, ProtocolError, /not headrace/);
    assert.isEmpty(clock.delaysMs);
  });
};
