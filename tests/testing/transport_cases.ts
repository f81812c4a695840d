// That the cases find out what they are for.
import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { type ListenerSubject, listenerCases } from "../../lib/testing/listener_cases.ts";
import {
  ConformanceError,
  type ConnectionPair,
  transportCases,
} from "../../lib/testing/transport_cases.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { rejection } from "../transports/conformance.ts";
import { memoryNetwork } from "./support/memory_network.ts";

/** A connection without `receive`, some of which is replaced. */
function like(inner: Connection, other: Partial<Connection>): Connection {
  const { readable, writable, closed, remote } = inner;
  return { readable, writable, closed, remote, close: (why) => inner.close(why), ...other };
}

/** The first case of this name that a broken transport fails, and how. */
async function failureOf(
  name: RegExp,
  openPair: () => Promise<ConnectionPair>,
  openCount?: () => number,
  timeoutMs = 20_000,
): Promise<unknown> {
  const subject = { openPair, timeoutMs, ...(openCount && { openCount }) };
  for (const one of transportCases(subject)) {
    if (!name.test(one.name)) continue;
    try {
      await one.run();
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

export const transportCasesSuite: Suite = ({ test }) => {
  test("transport cases: bytes that are damaged on the way are found, and where", async () => {
    const damaging = async (): Promise<ConnectionPair> => {
      const [near, far] = connectionPair();
      let at = 0;
      const damage = new TransformStream<Uint8Array, Uint8Array>({
        transform(bytes, controller) {
          const own = bytes.slice();
          if (at <= 5000 && 5000 < at + own.byteLength) own[5000 - at] = (own[5000 - at] ?? 0) ^ 1;
          at += own.byteLength;
          controller.enqueue(own);
        },
      });
      return [near, like(far, { readable: far.readable.pipeThrough(damage) })];
    };
    const failure = await failureOf(/tiny writes/, damaging);
    assert.instanceOf(failure, ConformanceError);
    assert.match((failure as Error).message, /byte 5000 is/);
  });

  test("transport cases: a transport that takes whatever is written has no backpressure", async () => {
    const greedy = async (): Promise<ConnectionPair> => {
      const [near, far] = connectionPair();
      const inner = near.writable.getWriter();
      const writable = new WritableStream<Uint8Array>({
        write: (bytes) => void inner.write(bytes.slice()).catch(() => {}),
        close: () => inner.close(),
        abort: (reason) => inner.abort(reason),
      });
      return [like(near, { writable }), like(far, {})];
    };
    const failure = await failureOf(/stops stops the writer/, greedy);
    assert.instanceOf(failure, ConformanceError);
    assert.match((failure as Error).message, /were taken from the writer/);
  });

  test("transport cases: an end that is told as something else, and what is left open, are found", async () => {
    const vague = async (): Promise<ConnectionPair> => {
      const [near, far] = connectionPair();
      return [like(near, { close: () => near.close(new Error("whatever")) }), far];
    };
    assert.instanceOf(await failureOf(/passes its reason/, vague), ConformanceError);
    let open = 0;
    const leaking = async (): Promise<ConnectionPair> => {
      open++;
      return connectionPair();
    };
    const failure = await failureOf(/leave nothing open/, leaking, () => open);
    assert.match((failure as Error).message, /50 of 50 connections are still open/);
  });

  test("transport cases: a transport that has no receive passes all of them", async () => {
    const openPair = async (): Promise<ConnectionPair> => {
      const [near, far] = connectionPair();
      return [like(near, {}), like(far, {})];
    };
    const cases = transportCases({ openPair }).filter(({ name }) => /receive|throws/.test(name));
    assert.isAtLeast(cases.length, 4);
    for (const { run } of cases) await run();
  });

  test("transport cases: what never ends is found as well", async () => {
    const endless = async (): Promise<ConnectionPair> => {
      const [near, far] = connectionPair();
      const reader = far.readable.getReader();
      const readable = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const { done, value } = await reader.read();
          if (done) return new Promise(() => {});
          controller.enqueue(value);
        },
      });
      return [near, like(far, { readable })];
    };
    const failure = await failureOf(/tiny writes/, endless, undefined, 300);
    assert.instanceOf(failure, ConformanceError);
    assert.match((failure as Error).message, /not over after 0.3 s/);
    const silent = { listen: () => new Promise<never>(() => {}), connect: assert.fail };
    const [first] = listenerCases({ ...silent, timeoutMs: 10 });
    assert.match(((await rejection(first?.run())) as Error).message, /not over after 0.01 s/);
  });

  test("listener cases: an end that takes connections along, and another's reason, are found", async () => {
    const failureIn = async (name: RegExp, subject: (open: Connection[]) => ListenerSubject) => {
      const one = listenerCases(subject([])).find((found) => name.test(found.name));
      return await rejection(one?.run());
    };
    const network = memoryNetwork();
    const { listener } = network;
    const connect = (_: string, signal?: AbortSignal) => network.connect(signal);
    const passing = { listen: async () => listener, connect };
    for (const one of listenerCases(passing).slice(0, 1)) await one.run();

    const greedy = await failureIn(/leaves what was taken/, (open) => {
      const { listener: inner, connect: dial } = memoryNetwork();
      const close = async () => {
        for (const end of open) end.close();
        await inner.close();
      };
      const { url, connections } = inner;
      return {
        listen: async () => ({ url, connections, close }),
        connect: async (_, signal) => {
          const near = await dial(signal);
          open.push(near);
          return near;
        },
      };
    });
    assert.instanceOf(greedy, Error);
    const talkative = await failureIn(/very reason/, () => {
      const { listener: inner, connect: dial } = memoryNetwork();
      return {
        listen: async () => inner,
        connect: (_, signal) =>
          dial(signal).catch(() => {
            throw new Error("whatever");
          }),
      };
    });
    assert.match((talkative as Error).message, /found Error: whatever, wanted \[object Object\]/);
    const deaf = await failureIn(/wants no more/, () => {
      const { listener: inner, connect: dial } = memoryNetwork();
      return { listen: async () => inner, connect: (_, signal) => dial(signal) };
    });
    assert.instanceOf(deaf, ConformanceError);
  });
};
