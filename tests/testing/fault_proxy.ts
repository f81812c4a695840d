import { assert } from "chai";
import type { Connection } from "../../lib/connection.ts";
import { TransportError } from "../../lib/errors.ts";
import type { Fault, FaultPlan } from "../../lib/testing/fault.ts";
import { createFaultProxy, type FaultProxy } from "../../lib/testing/fault_proxy.ts";
import type { Suite } from "../harness.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import {
  type Pair,
  quiet,
  rejection,
  transportConformance,
  turn,
} from "../transports/conformance.ts";

/** A proxy over TCP, with both sides of it. */
class ProxyBench {
  readonly proxy: FaultProxy;
  readonly #dial: () => Promise<Connection>;
  readonly #accept: () => Promise<Connection>;
  readonly #closeListeners: () => Promise<unknown>;

  private constructor(
    proxy: FaultProxy,
    dial: () => Promise<Connection>,
    accept: () => Promise<Connection>,
    closeListeners: () => Promise<unknown>,
  ) {
    this.proxy = proxy;
    this.#dial = dial;
    this.#accept = accept;
    this.#closeListeners = closeListeners;
  }

  static async open(runtime: string, plan?: FaultPlan): Promise<ProxyBench> {
    const { connect, listen } = tcpAdapterOf(runtime);
    const server = await listen("tcp://127.0.0.1:0");
    const accepted = server.connections.getReader();
    const listener = await listen("tcp://127.0.0.1:0");
    const proxy = createFaultProxy({
      listener,
      connect: (signal) => connect(server.url, { signal }),
      ...(plan && { plan }),
    });
    return new ProxyBench(
      proxy,
      () => connect(proxy.url),
      async () => (await accepted.read()).value as Connection,
      () => Promise.all([listener.close(), server.close()]),
    );
  }

  async pair(): Promise<Pair> {
    return Promise.all([this.#dial(), this.#accept()]);
  }

  /** Connections that there are go on. */
  async listenNoMore(): Promise<void> {
    await this.#closeListeners();
  }

  async close(): Promise<void> {
    await this.proxy.close();
    await this.#closeListeners();
  }
}

async function bytesUntilEnd(end: Connection): Promise<{ bytes: number[]; error?: unknown }> {
  const bytes: number[] = [];
  try {
    for await (const view of end.readable) bytes.push(...view);
    return { bytes };
  } catch (error) {
    return { bytes, error };
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn();
}

export const faultProxySuite: Suite = (harness) => {
  const { test, runtime } = harness;
  /** One proxy for each pair, which listens no more once it has them. */
  transportConformance(
    harness,
    "fault proxy over TCP",
    async () => {
      const bench = await ProxyBench.open(runtime);
      const pair = await bench.pair();
      await bench.listenNoMore();
      return pair;
    },
    { reset: runtime !== "deno" },
  );

  test("fault proxy: each connection has its own faults, later ones those of the rest", async () => {
    const flip = (bits: number): Fault[] => [{ kind: "flip", atByte: 1, bits }];
    const bench = await ProxyBench.open(runtime, {
      connections: [{ up: flip(1) }, { down: flip(2) }],
      later: { up: flip(4), down: flip(8) },
    });
    for (const [up, down] of [
      [1, 0],
      [0, 2],
      [4, 8],
      [4, 8],
    ] as const) {
      const [near, far] = await bench.pair();
      const zeros = new Uint8Array(3);
      for (const end of [near, far]) {
        const writer = end.writable.getWriter();
        await writer.write(zeros);
        void writer.close();
      }
      assert.deepEqual(await bytesUntilEnd(far), { bytes: [0, up, 0] });
      assert.deepEqual(await bytesUntilEnd(near), { bytes: [0, down, 0] });
    }
    await until(() => bench.proxy.openConnections === 0);
    assert.deepEqual(
      bench.proxy.reports.map(({ up, down }) => [up.passedBytes, down.passedBytes]),
      [3, 3, 3, 3].map((bytes) => [bytes, bytes]),
    );
    assert.deepEqual(bench.proxy.reports[1]?.down.happened, flip(2));
    await bench.close();
  });

  test("fault proxy: a cut is a cut of both sides, a truncation an end of both", async () => {
    const bench = await ProxyBench.open(runtime, {
      connections: [
        { down: [{ kind: "cut", atByte: 5 }] },
        { down: [{ kind: "truncate", atByte: 5, bytes: 2 }] },
      ],
    });
    for (const isCut of [true, false]) {
      const [near, far] = await bench.pair();
      const writer = far.writable.getWriter();
      const there = bytesUntilEnd(far);
      await writer.write(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9));
      const { bytes, error } = await bytesUntilEnd(near);
      // What is reset right behind some bytes looks ended to Node: only the sender can tell.
      const { error: senders } = await there;
      if (isCut && runtime !== "deno") assert.instanceOf(senders, TransportError);
      if (!isCut) assert.isUndefined(error);
      assert.deepEqual(bytes, [1, 2, 3, 4, 5].slice(0, isCut ? bytes.length : 5));
      for (const end of [near, far]) end.close();
    }
    await bench.close();
  });

  test("fault proxy: a stalled way stops its sender, and the other way goes on", async () => {
    const bench = await ProxyBench.open(runtime, {
      connections: [{ up: [{ kind: "stall", atByte: 100_000, forMs: "ever" }] }],
    });
    const [near, far] = await bench.pair();
    const upstream = near.writable.getWriter();
    let acceptedBytes = 0;
    const writing = (async () => {
      for (;;) {
        await upstream.write(new Uint8Array(65_536));
        acceptedBytes += 65_536;
      }
    })();
    const stopped = rejection(writing);
    const reading = bytesUntilEnd(far);
    await quiet(() => acceptedBytes);
    assert.equal(bench.proxy.reports[0]?.up.passedBytes, 100_000);
    assert.isAtMost(acceptedBytes, 48 * 1024 * 1024, "no more than kernels hold");
    await far.writable.getWriter().write(Uint8Array.of(42));
    const { value } = await near.readable.getReader().read();
    assert.deepEqual([...(value ?? [])], [42]);
    near.close();
    far.close();
    await Promise.all([stopped, reading]);
    await bench.close();
  });

  test("fault proxy: cutting and closing it leave nothing open", async () => {
    const stall: FaultPlan = {
      connections: [],
      later: {
        up: [{ kind: "stall", atByte: 0, forMs: "ever" }],
        down: [{ kind: "delay", atByte: 0, delayMs: 3_600_000 }],
      },
    };
    const bench = await ProxyBench.open(runtime, stall);
    const pairs = await Promise.all([bench.pair(), bench.pair()]);
    await until(() => bench.proxy.reports.length === 2);
    bench.proxy.cut();
    for (const end of pairs.flat()) await bytesUntilEnd(end);
    await until(() => bench.proxy.openConnections === 0);
    const late = await bench.pair();
    await bench.close();
    for (const end of [...late, ...pairs.flat()]) {
      await bytesUntilEnd(end);
      end.close();
    }
    assert.equal(bench.proxy.openConnections, 0);
  });

  test("fault proxy: a peer that cannot be dialled is a cut for who dialled", async () => {
    const { connect, listen } = tcpAdapterOf(runtime);
    const gone = await listen("tcp://127.0.0.1:0");
    await gone.close();
    const proxy = createFaultProxy({
      listener: await listen("tcp://127.0.0.1:0"),
      connect: (signal) => connect(gone.url, { signal }),
    });
    const near = await connect(proxy.url);
    const { bytes } = await bytesUntilEnd(near);
    assert.isEmpty(bytes);
    near.close();
    await proxy.close();
  });
};
