import { assert } from "chai";
import type { Connect, Connection } from "../../lib/connection.ts";
import { type Deferred, deferred } from "../../lib/deferred.ts";
import { TransportError, UnauthorisedError } from "../../lib/errors.ts";
import { firstConnected } from "../../lib/transports/first_connected.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock } from "../session/support/manual_clock.ts";
import { turn } from "./conformance.ts";

/** A way to dial whose outcome is decided from outside. */
class Way {
  readonly dials: { readonly signal: AbortSignal | undefined; answer: Deferred<Connection> }[] = [];
  readonly connect: Connect = (signal) => {
    const answer = deferred<Connection>();
    this.dials.push({ signal, answer });
    return answer.promise;
  };
  get last(): { readonly signal: AbortSignal | undefined; answer: Deferred<Connection> } {
    return this.dials.at(-1) as (typeof this.dials)[number];
  }
}

export const firstConnectedSuite: Suite = ({ test }) => {
  test("first connected: the next way begins after the head start, the winner is remembered and the rest given up", async () => {
    const clock = new ManualClock();
    const [best, other] = [new Way(), new Way()];
    const dial = firstConnected([best.connect, other.connect], { headStartMs: 300, clock });
    const dialling = dial();
    await clock.advance(299);
    assert.lengthOf(other.dials, 0);
    await clock.advance(1);
    assert.lengthOf(other.dials, 1);
    const [near] = connectionPair();
    other.last.answer.resolve(near);
    assert.equal(await dialling, near);
    assert.isTrue(best.last.signal?.aborted);
    const [late] = connectionPair();
    best.last.answer.resolve(late);
    await late.closed;
    const again = dial();
    assert.lengthOf(other.dials, 2);
    assert.lengthOf(best.dials, 1, "who lost is not tried before its turn");
    other.last.answer.resolve(connectionPair()[0]);
    await again;
    await clock.advance(1_000);
    assert.lengthOf(best.dials, 1);
  });

  test("first connected: a way that fails makes room for the next at once, and all failures are told", async () => {
    const clock = new ManualClock();
    const [best, other] = [new Way(), new Way()];
    const dial = firstConnected([best.connect, other.connect], { clock });
    const dialling = dial();
    best.last.answer.reject(new TransportError("no UDP here"));
    while (other.dials.length === 0) await turn();
    other.last.answer.reject(new TransportError("no port here"));
    await assertRejects(() => dialling, TransportError, /no UDP here; no port here/);
    const again = dial();
    best.last.answer.reject(new UnauthorisedError("go away"));
    while (other.dials.length === 1) await turn();
    other.last.answer.reject(new TransportError("no port here"));
    await assertRejects(() => again, UnauthorisedError, /go away/);
  });

  test("first connected: an aborted signal ends all ways with its reason", async () => {
    const clock = new ManualClock();
    const [best, other] = [new Way(), new Way()];
    const abort = new AbortController();
    const reason = new Error("enough");
    const dialling = firstConnected([best.connect, other.connect], { clock })(abort.signal);
    await clock.advance(300);
    abort.abort(reason);
    const found = await dialling.catch((error: unknown) => error);
    assert.equal(found, reason);
    assert.isTrue(best.last.signal?.aborted && other.last.signal?.aborted);
    assert.throws(() => firstConnected([]), RangeError);
  });
};
