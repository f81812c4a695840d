// This module runs in every runtime.
import type { Connection, Listener } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { check, checkKind, checkSame, rejection, turn, within } from "./transport/check.ts";
import { ending, expectPattern, send } from "./transport/pattern.ts";
import type { ConnectionPair, TransportCase } from "./transport/subject.ts";

/** A transport that can listen, as its cases need it. */
export interface ListenerSubject {
  /** Listens at a place that is free. */
  readonly listen: () => Promise<Listener>;
  /** Dials what listens at this URL. */
  readonly connect: (url: string, signal?: AbortSignal) => Promise<Connection>;
  /** How long a case may take before it is taken for one that never ends, in ms; default two minutes. */
  readonly timeoutMs?: number;
}

/** How many dial at once. */
const DIALLERS = 20;

/**
 * Everything that a listener must honour, beside what {@linkcode transportCases} holds each of its
 * connections to: order, many that dial at once, an end that leaves what was taken as it is and
 * lets go of what was not.
 *
 * @example
 * ```ts
 * import { listenerCases } from "headrace/testing";
 * import { connect, listen } from "headrace/tcp";
 *
 * const cases = listenerCases({
 *   listen: () => listen("tcp://127.0.0.1:0"),
 *   connect: (url, signal) => connect(url, { signal }),
 * });
 * for (const { name, run } of cases) {
 *   await run(); // or, in a test runner: test(name, run)
 *   console.log("ok", name);
 * }
 * ```
 */
export function listenerCases({ listen, connect, timeoutMs }: ListenerSubject): TransportCase[] {
  const cases: TransportCase[] = [];
  const withListener = (name: string, body: (listener: Listener) => Promise<void>) =>
    cases.push({
      name,
      run: async () => {
        let listener: Listener | undefined;
        try {
          await within(async () => {
            listener = await listen();
            await body(listener);
            await listener.close();
          }, timeoutMs);
        } catch (error) {
          // What the case found says more than how closing fails after it.
          listener?.close().catch(() => {});
          throw error;
        }
      },
    });

  withListener("connections come in the order in which they were dialled", async (listener) => {
    const taking = listener.connections.getReader();
    for (let bytes = 1; bytes <= 3; bytes++) {
      const [near, far] = await meet(connect(listener.url), taking);
      await exchange([near, far], bytes);
    }
  });

  withListener("those that dial at once get an end each", async (listener) => {
    const taking = listener.connections.getReader();
    const dialling = Array.from({ length: DIALLERS }, () => connect(listener.url));
    const ends: Connection[] = [];
    while (ends.length < DIALLERS) ends.push(taken(await taking.read()));
    const nears = await Promise.all(dialling);
    // Which of the ends belongs to whom shows in how many bytes come.
    const found = await Promise.all([
      ...ends.map((far) => countBytes(far)),
      ...nears.map((near, index) => send(near, [index + 1])),
    ]);
    const counts = found.filter((count) => count !== undefined).sort((a, b) => a - b);
    counts.forEach((count, index) => {
      checkSame(count, index + 1, "bytes of one that dialled");
    });
    for (const end of [...nears, ...ends]) end.close();
  });

  withListener(
    "closing leaves what was taken as it is, and nothing more comes",
    async (listener) => {
      const taking = listener.connections.getReader();
      const pair = await meet(connect(listener.url), taking);
      await listener.close();
      await listener.close();
      checkSame((await taking.read()).done, true, "whether the connections are over");
      checkKind(await rejection(connect(listener.url)), TransportError, "a dial afterwards");
      await exchange(pair, 70_000);
    },
  );

  withListener("closing lets go of what nobody took", async (listener) => {
    const dialling = connect(listener.url).then(
      (near) => ending(near),
      (error: unknown) => error,
    );
    for (let turns = 0; turns < 20; turns++) await turn();
    await listener.close();
    const found = await dialling;
    check(
      found === undefined || found instanceof TransportError,
      `one that nobody took ended with ${String(found)}`,
    );
  });

  withListener("who wants no more connections closes the listener", async (listener) => {
    await listener.connections.cancel();
    checkKind(await rejection(connect(listener.url)), TransportError, "a dial afterwards");
  });

  withListener("a dial that is given up fails with the very reason", async (listener) => {
    const reason = { any: "thing" };
    const early = connect(listener.url, AbortSignal.abort(reason));
    checkSame(await rejection(early), reason, "what it failed with");
    const during = new AbortController();
    const late = rejection(connect(listener.url, during.signal));
    during.abort(reason);
    checkSame(await late, reason, "what it failed with");
  });
  return cases;
}

type Taking = ReadableStreamDefaultReader<Connection>;

async function meet(dialling: Promise<Connection>, taking: Taking): Promise<ConnectionPair> {
  const [near, next] = await Promise.all([dialling, taking.read()]);
  return [near, taken(next)];
}

function taken({ done, value }: ReadableStreamReadResult<Connection>): Connection {
  check(!done, "the connections ended before one came");
  return value as Connection;
}

/** So many bytes each way, to the end. */
async function exchange(pair: ConnectionPair, bytes: number): Promise<void> {
  await Promise.all(
    pair.flatMap((end) => [send(end, [bytes]), expectPattern(end, bytes, "readable")]),
  );
  await Promise.all(pair.map((end) => end.closed));
}

async function countBytes({ readable }: Connection): Promise<number> {
  let count = 0;
  const reader = readable.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    count += next.value.byteLength;
  }
  return count;
}
