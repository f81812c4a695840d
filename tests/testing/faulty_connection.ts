import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { TransportError } from "../../lib/errors.ts";
import type { Fault } from "../../lib/testing/fault.ts";
import { FaultyConnection } from "../../lib/testing/faulty_connection.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { ManualClock, quiet, settle } from "../session/support/manual_clock.ts";
import { rejection, transportConformance } from "../transports/conformance.ts";

const numbered = (length: number): Uint8Array => Uint8Array.from({ length }, (_, n) => n);

/** What comes out of a connection, and how it ended. */
interface Arrival {
  readonly bytes: number[];
  end?: "end" | { readonly error: unknown };
}

function arrivalAt(end: Connection): Arrival {
  const arrival: Arrival = { bytes: [] };
  (async () => {
    for await (const view of end.readable) arrival.bytes.push(...view);
  })().then(
    () => {
      arrival.end = "end";
    },
    (error) => {
      arrival.end = { error };
    },
  );
  return arrival;
}

/** Each way of a fault: at the end that writes, or at the end that reads. */
const WAYS = ["sent", "received"] as const;

export const faultyConnectionSuite: Suite = (harness) => {
  const { test } = harness;
  transportConformance(
    harness,
    "faulty connection without faults",
    async () => {
      const [near, far] = connectionPair();
      return [new FaultyConnection(near), new FaultyConnection(far)];
    },
    { reset: true },
  );
  const slow: Fault[] = [
    { kind: "delay", atByte: 0, delayMs: 1 },
    { kind: "throttle", atByte: 70_000, bytesPerSecond: 1e9, bufferBytes: 100_000 },
    { kind: "stall", atByte: 90_000, forMs: 1 },
  ];
  transportConformance(
    harness,
    "faulty connection that is slow",
    async () => {
      const [near, far] = connectionPair();
      return [near, new FaultyConnection(far, { sent: slow, received: slow })];
    },
    { reset: true },
  );

  for (const way of WAYS) {
    /** Ten bytes go from one end to the other, past a fault. */
    const send = (faults: readonly Fault[], clock = new ManualClock()) => {
      const [near, far] = connectionPair();
      const faulty = new FaultyConnection(way === "sent" ? near : far, { [way]: faults, clock });
      const [from, to] = way === "sent" ? [faulty, far] : [near, faulty];
      const writer = from.writable.getWriter();
      const writing = (async () => {
        for (const byte of numbered(10)) await writer.write(Uint8Array.of(byte));
        await writer.close();
      })();
      writing.catch(() => {});
      return { from, to, faulty, writing, clock, arrival: arrivalAt(to), report: faulty[way] };
    };

    test(`faulty connection: a cut lets come what came before, then resets (${way})`, async () => {
      const { from, to, arrival, report } = send([{ kind: "cut", atByte: 4 }]);
      assert.instanceOf(await rejection(from.closed), TransportError);
      assert.instanceOf(await rejection(to.closed), TransportError);
      await settle();
      assert.equal(report.passedBytes, 4);
      // A reset overtakes what the receiver has not read yet.
      if (way === "received") assert.deepEqual(arrival.bytes, [0, 1, 2, 3]);
      assert.isObject(arrival.end);
      assert.deepEqual(report.happened, [{ kind: "cut", atByte: 4 }]);
    });

    test(`faulty connection: a half-close ends one way and leaves the other (${way})`, async () => {
      const { from, to, arrival, writing } = send([{ kind: "half_close", atByte: 4 }]);
      await settle();
      assert.deepEqual(arrival, { bytes: [0, 1, 2, 3], end: "end" });
      const back = arrivalAt(from);
      await to.writable.getWriter().write(Uint8Array.of(77));
      await settle();
      assert.deepEqual(back, { bytes: [77] });
      let isTaken = false;
      const taken = writing.then(
        () => {
          isTaken = true;
        },
        () => {},
      );
      await settle();
      if (way === "sent") assert.isFalse(isTaken, "nothing more is taken");
      from.close();
      to.close();
      await taken;
    });

    test(`faulty connection: a truncation loses the tail, then ends in order (${way})`, async () => {
      const { to, arrival, report, faulty } = send([{ kind: "truncate", atByte: 4, bytes: 3 }]);
      await faulty.closed;
      await settle();
      assert.deepEqual(arrival.bytes, [0, 1, 2, 3]);
      if (way === "sent") assert.equal(arrival.end, "end");
      assert.deepInclude(report, { takenBytes: 7, passedBytes: 4 });
      to.close();
    });

    test(`faulty connection: bits are turned, bytes come twice or not at all (${way})`, async () => {
      const { arrival, report } = send([
        { kind: "flip", atByte: 1, bits: 0x40 },
        { kind: "swallow", atByte: 3, bytes: 2 },
        { kind: "duplicate", atByte: 6, bytes: 3 },
      ]);
      await settle();
      assert.deepEqual(arrival, { bytes: [0, 0x41, 2, 5, 6, 7, 8, 6, 7, 8, 9], end: "end" });
      assert.deepInclude(report, { takenBytes: 10, passedBytes: 11 });
      assert.lengthOf(report.happened, 3);
    });

    test(`faulty connection: a stall ends when its time is over, or never (${way})`, async () => {
      const { arrival, clock } = send([{ kind: "stall", atByte: 4, forMs: 1000 }]);
      await clock.advance(999);
      assert.deepEqual(arrival, { bytes: [0, 1, 2, 3] });
      await clock.advance(1);
      assert.deepEqual(arrival, { bytes: [...numbered(10)], end: "end" });
      assert.equal(clock.pending, 0);

      const other = send([{ kind: "stall", atByte: 4, forMs: "ever" }]);
      await other.clock.advance(1e9);
      assert.deepEqual(other.arrival, { bytes: [0, 1, 2, 3] });
      const reason = new Error("enough");
      other.faulty.close(reason);
      assert.strictEqual(await rejection(other.faulty.closed), reason);
      if (way === "sent") assert.strictEqual(await rejection(other.writing), reason);
    });

    test(`faulty connection: what is delayed or throttled comes later, whole (${way})`, async () => {
      const { arrival, clock } = send([
        { kind: "delay", atByte: 2, delayMs: 50 },
        { kind: "throttle", atByte: 8, bytesPerSecond: 10 },
      ]);
      await clock.advance(49);
      assert.deepEqual(arrival.bytes, [0, 1]);
      await clock.advance(1);
      assert.deepEqual(arrival.bytes, [0, 1, 2, 3, 4, 5, 6, 7]);
      await clock.advance(199);
      assert.isBelow(arrival.bytes.length, 10);
      assert.isUndefined(arrival.end);
      await clock.advance(1);
      assert.deepEqual(arrival, { bytes: [...numbered(10)], end: "end" });
    });

    test(`faulty connection: closing it while bytes are held leaves no timer behind (${way})`, async () => {
      const clock = new ManualClock();
      const { faulty, from, to } = send([{ kind: "delay", atByte: 2, delayMs: 50 }], clock);
      await settle();
      assert.isAbove(clock.pending, 0);
      faulty.close();
      await faulty.closed;
      await settle();
      assert.equal(clock.pending, 0);
      for (const end of [from, to]) end.close();
    });
  }

  test("faulty connection: over at both ways, it lets go of what the other end still sends", async () => {
    const [near, far] = connectionPair();
    const faulty = new FaultyConnection(near, { received: [{ kind: "half_close", atByte: 1 }] });
    const arrival = arrivalAt(faulty);
    await far.writable.getWriter().write(new Uint8Array(100));
    await faulty.writable.close();
    await faulty.closed;
    await near.closed;
    await settle();
    assert.deepEqual(arrival, { bytes: [0], end: "end" });
    far.close();
  });

  test("faulty connection: a throttle's buffer is all that it takes ahead of the link", async () => {
    const [near, far] = connectionPair({ bufferBytes: 10_000 });
    const clock = new ManualClock();
    const throttle: Fault = {
      kind: "throttle",
      atByte: 0,
      bytesPerSecond: 1000,
      bufferBytes: 30_000,
    };
    const faulty = new FaultyConnection(near, { sent: [throttle], clock });
    const writer = faulty.writable.getWriter();
    let acceptedBytes = 0;
    const writing = (async () => {
      for (;;) {
        await writer.write(new Uint8Array(5000));
        acceptedBytes += 5000;
      }
    })();
    await quiet(() => acceptedBytes);
    assert.isAtMost(acceptedBytes, 30_000);
    assert.isAtLeast(acceptedBytes, 20_000);
    faulty.close();
    assert.instanceOf(await rejection(writing), TransportError);
    far.close();
  });

  test("faulty connection: a buffer may be used again once its write is kept", async () => {
    const [near, far] = connectionPair();
    const clock = new ManualClock();
    const faulty = new FaultyConnection(near, {
      sent: [
        { kind: "delay", atByte: 3, delayMs: 5 },
        { kind: "duplicate", atByte: 5, bytes: 4 },
      ],
      clock,
    });
    const arrival = arrivalAt(far);
    const writer = faulty.writable.getWriter();
    const bytes = new Uint8Array(2);
    for (let n = 0; n < 5; n++) {
      bytes.fill(n);
      await writer.write(bytes);
    }
    const closing = writer.close();
    await clock.advance(5);
    await closing;
    await settle();
    assert.deepEqual(arrival.bytes, [0, 0, 1, 1, 2, 2, 3, 3, 4, 2, 3, 3, 4, 4]);
    faulty.close();
  });

  test("faulty connection: a fault of the connection beneath comes through as it is", async () => {
    const [near, far] = connectionPair();
    const faulty = new FaultyConnection(near);
    const reason = new Error("pulled out");
    const reading = rejection(faulty.readable.getReader().read());
    near.close(reason);
    assert.strictEqual(await reading, reason);
    assert.strictEqual(await rejection(faulty.closed), reason);
    assert.strictEqual(await rejection(faulty.writable.getWriter().closed), reason);
    far.close();
  });

  test("faulty connection: faults at the first byte happen before there is one", async () => {
    for (const way of WAYS) {
      const [near, far] = connectionPair();
      const faulty = new FaultyConnection(near, { [way]: [{ kind: "cut", atByte: 0 }] });
      const arrivals = [arrivalAt(faulty), arrivalAt(far)];
      assert.instanceOf(await rejection(faulty.closed), TransportError);
      await settle();
      for (const { bytes, end } of arrivals) {
        assert.isEmpty(bytes);
        assert.isObject(end);
      }
    }
  });
};
