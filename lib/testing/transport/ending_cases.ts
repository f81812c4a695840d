// This module runs in every runtime.
import { TransportError } from "../../errors.ts";
import { check, checkKind, checkSame, quiet, rejection, within } from "./check.ts";
import { ending, expectPattern, fillPattern, readAll, send } from "./pattern.ts";
import {
  type ConnectionPair,
  pairCase,
  type TransportCase,
  type TransportSubject,
} from "./subject.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** An end is told as what it was, at both ends, and everything is let go of. */
export function endingCases(subject: TransportSubject): TransportCase[] {
  const cases: TransportCase[] = [];
  const withPair = (what: string, body: (pair: ConnectionPair) => Promise<void>) =>
    cases.push(pairCase(subject, what, body));
  const add = (name: string, body: () => Promise<void>) =>
    cases.push({ name, run: () => within(body, subject.timeoutMs) });
  const checkCut = (found: unknown) => {
    const isSeen = (subject.canReset ?? true) || found !== undefined;
    if (isSeen) checkKind(found, TransportError, "what a reader sees of a reset");
  };

  withPair("closing one way leaves the other open", async ([near, far]) => {
    await near.writable.close();
    await expectPattern(far, 0, "readable");
    const reading = expectPattern(near, 2 * MiB + 3, "receive");
    await send(far, [2 * MiB, 3]);
    await reading;
    await Promise.all([near.closed, far.closed]);
  });

  withPair("aborting the writable ends both ways with the very reason", async ([near, far]) => {
    const reason = new Error("enough");
    const nearRead = rejection(near.readable.getReader().read());
    const farRead = ending(far);
    await near.writable.abort(reason);
    checkSame(await nearRead, reason, "what it failed with");
    checkSame(await rejection(near.closed), reason, "what it failed with");
    checkCut(await farRead);
  });

  withPair("close passes its reason to both streams, once", async ([near, far]) => {
    const reason = Symbol("over");
    const read = rejection(near.readable.getReader().read());
    const writer = near.writable.getWriter();
    near.close(reason);
    near.close(new Error("too late"));
    checkSame(await read, reason, "what it failed with");
    checkSame(await rejection(writer.write(new Uint8Array(1))), reason, "what it failed with");
    checkSame(await rejection(near.closed), reason, "what it failed with");
    await ending(far);
  });

  withPair("close without a reason is an orderly end that loses nothing", async ([near, far]) => {
    // A kernel resets a link that is closed with bytes unread, TLS tickets among them.
    await far.writable.getWriter().write(Uint8Array.of(1));
    await near.readable.getReader().read();
    const writer = near.writable.getWriter();
    const bytes = new Uint8Array(32 * KiB);
    fillPattern(bytes, 0);
    await writer.write(bytes);
    near.close();
    await near.closed;
    checkKind(await rejection(writer.write(bytes)), TransportError, "a write afterwards");
    await expectPattern(far, bytes.byteLength, "readable");
  });

  withPair("a link that is cut in the middle fails both ways", async ([near, far]) => {
    const writer = near.writable.getWriter();
    const writing = (async () => {
      for (;;) await writer.write(new Uint8Array(MiB));
    })();
    const failure = rejection(writing);
    let receivedBytes = 0;
    const reading = readAll(far, "readable", (view) => {
      receivedBytes += view.byteLength;
      if (receivedBytes > 3 * MiB) far.close("cut");
    });
    checkSame(await rejection(reading), "cut", "what it failed with");
    checkKind(await failure, TransportError, "the writer");
    checkKind(await rejection(near.closed), TransportError, "closed");
  });

  withPair("a reader that throws resets the link with what it threw", async ([near, far]) => {
    const fault = new Error("bad frame");
    const failure = rejection(
      send(
        near,
        Array.from({ length: 64 }, () => MiB),
      ),
    );
    if (!far.receive) {
      await far.readable.cancel(fault);
    } else {
      const received = far.receive(() => {
        throw fault;
      });
      checkSame(await rejection(received), fault, "what it failed with");
    }
    checkSame(await rejection(far.closed), fault, "what it failed with");
    checkKind(await failure, TransportError, "the writer");
  });

  withPair("cancelling the readable ends both ways", async ([near, far]) => {
    const reason = new Error("not wanted");
    await far.readable.cancel(reason);
    checkSame(await rejection(far.closed), reason, "what it failed with");
    checkSame(
      await rejection(far.writable.getWriter().write(new Uint8Array(1))),
      reason,
      "what it failed with",
    );
    await ending(near);
  });

  const { mostAtOnce = 100 } = subject;
  add(
    `${mostAtOnce === 100 ? "a hundred" : mostAtOnce} connections at once keep apart`,
    async () => {
      const pairs = await Promise.all(Array.from({ length: mostAtOnce }, () => subject.openPair()));
      await Promise.all(
        pairs.flatMap(([near, far], index) => [
          send(near, [index, 5000]),
          expectPattern(far, index + 5000, index % 2 === 0 ? "readable" : "receive"),
          send(far, [index]),
          expectPattern(near, index, "readable"),
        ]),
      );
      await Promise.all(pairs.flat().map((end) => end.closed));
    },
  );
  add("fifty connections one after another leave nothing open", async () => {
    const before = subject.openCount?.() ?? 0;
    for (let n = 0; n < 50; n++) {
      const [near, far] = await subject.openPair();
      const reading = expectPattern(far, 100, "receive");
      await send(near, [100]);
      await reading;
      // Every other one is cut, the rest end in order.
      if (n % 2 === 0) far.close(new Error("cut"));
      else await far.writable.close();
      await ending(near);
      near.close();
      await Promise.allSettled([near.closed, far.closed]);
    }
    await quiet(() => subject.openCount?.() ?? 0);
    const left = (subject.openCount?.() ?? 0) - before;
    check(left <= 0, `${left} of 50 connections are still open`);
  });
  return cases;
}
