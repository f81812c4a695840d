// This module runs in every runtime.
import { checkKind, checkSame, rejection, turn } from "./check.ts";
import { checkPattern, expectPattern, fillPattern, send } from "./pattern.ts";
import {
  type ConnectionPair,
  pairCase,
  type TransportCase,
  type TransportSubject,
} from "./subject.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** What comes is what was sent, in its order, whatever it was cut into. */
export function byteCases(subject: TransportSubject): TransportCase[] {
  const cases: TransportCase[] = [];
  const withPair = (what: string, body: (pair: ConnectionPair) => Promise<void>) =>
    cases.push(pairCase(subject, what, body));
  withPair("keeps order and content both ways at once, whatever the slicing", async (pair) => {
    const sizes = [1, 0, 4095, 4096, 4097, 70_000, 3, 17 * KiB, MiB + 1, 2, 12, 300 * KiB, 1];
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    await Promise.all(
      pair.flatMap((end) => [send(end, sizes), expectPattern(end, totalBytes, "readable")]),
    );
    await Promise.all(pair.map((end) => end.closed));
  });

  withPair("receive hands over the same bytes and ends when they end", async ([near, far]) => {
    const sizes = [5, MiB, 100, 5000, 3 * MiB, 7];
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    await Promise.all([send(near, sizes), expectPattern(far, totalBytes, "receive")]);
  });

  withPair("ten thousand tiny writes arrive whole", async ([near, far]) => {
    const sizes = Array.from({ length: 10_000 }, (_, index) => (index % 29) + 1);
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    await Promise.all([send(near, sizes), expectPattern(far, totalBytes, "readable")]);
  });

  withPair("a buffer may be overwritten once its write is kept", async ([near, far]) => {
    const reading = expectPattern(far, 24 * MiB + 12 * 40, "readable");
    const writer = near.writable.getWriter();
    const large = new Uint8Array(2 * MiB);
    const small = new Uint8Array(40);
    let offset = 0;
    for (let round = 0; round < 12; round++) {
      fillPattern(small, offset);
      await writer.write(small);
      small.fill(0xee);
      offset += small.byteLength;
      fillPattern(large, offset);
      await writer.write(large);
      large.fill(0xee);
      offset += large.byteLength;
    }
    await writer.close();
    await reading;
  });

  withPair(
    "what receive lends stays as it is while its promise is pending",
    async ([near, far]) => {
      if (!far.receive) return;
      const sending = send(near, [MiB, MiB]);
      let offset = 0;
      let calls = 0;
      await far.receive(async (view) => {
        checkSame(++calls, 1, "calls at once");
        checkPattern(view, offset);
        for (let turns = 0; turns < 3; turns++) await turn();
        checkPattern(view, offset);
        offset += view.byteLength;
        calls--;
      });
      checkSame(offset, 2 * MiB, "bytes that came");
      await sending;
    },
  );

  withPair("receive refuses a readable that is in use", async ([, far]) => {
    if (!far.receive) return;
    const reader = far.readable.getReader();
    checkKind(await rejection(far.receive(() => {})), TypeError, "receive");
    const pending = rejection(reader.read());
    reader.releaseLock();
    checkKind(await pending, TypeError, "a read whose lock was released");
    checkKind(await rejection(far.receive(() => {})), TypeError, "receive");
  });
  return cases;
}
