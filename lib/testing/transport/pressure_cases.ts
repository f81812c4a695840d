// This module runs in every runtime.
import { check, checkSame, quiet, rejection } from "./check.ts";
import { ending, readAll } from "./pattern.ts";
import {
  type ConnectionPair,
  pairCase,
  type TransportCase,
  type TransportSubject,
} from "./subject.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** More than any two socket buffers hold, less than the case sends. */
const MOST_UNDER_WAY = 48 * MiB;

/** A reader that stops stops the writer, and nobody is stuck for ever. */
export function pressureCases(subject: TransportSubject): TransportCase[] {
  const cases: TransportCase[] = [];
  const withPair = (what: string, body: (pair: ConnectionPair) => Promise<void>) =>
    cases.push(pairCase(subject, what, body));
  for (const way of ["readable", "receive"] as const) {
    withPair(`a reader that stops stops the writer (${way})`, async ([near, far]) => {
      const chunk = new Uint8Array(256 * KiB);
      const totalBytes = 96 * MiB;
      let acceptedBytes = 0;
      const writing = (async () => {
        const writer = near.writable.getWriter();
        while (acceptedBytes < totalBytes) {
          await writer.write(chunk);
          acceptedBytes += chunk.byteLength;
        }
        await writer.close();
      })();
      let receivedBytes = 0;
      let letGo = () => {};
      const gate = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      const reading = readAll(far, way, (view) => {
        receivedBytes += view.byteLength;
        return gate;
      });
      // Where the case fails, both are given up with the connection.
      for (const work of [writing, reading]) work.catch(() => {});
      await quiet(() => acceptedBytes);
      check(receivedBytes > 0, "nothing came before the reader stopped");
      check(
        receivedBytes <= MiB,
        `${receivedBytes} bytes came while the reader was busy with the first`,
      );
      check(acceptedBytes <= MOST_UNDER_WAY, `${acceptedBytes} bytes were taken from the writer`);
      letGo();
      await Promise.all([writing, reading]);
      checkSame(receivedBytes, totalBytes, "bytes that came");
    });
  }

  withPair("abort does not wait for a write that is stuck", async ([near, far]) => {
    const writer = near.writable.getWriter();
    let acceptedBytes = 0;
    const stuck = (async () => {
      for (;;) {
        await writer.write(new Uint8Array(MiB));
        acceptedBytes += MiB;
      }
    })();
    const failure = rejection(stuck);
    await quiet(() => acceptedBytes);
    const reason = { any: "thing" };
    await writer.abort(reason);
    checkSame(await failure, reason, "what it failed with");
    await ending(far);
  });
  return cases;
}
