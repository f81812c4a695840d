import { assert } from "chai";
import type { Connection, Listener } from "../../lib/connection.ts";
import { ProtocolError, TransportError } from "../../lib/errors.ts";
import { PeerHost } from "../../lib/session/host.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { connect, listen } from "../../lib/transports/webtransport_deno.ts";
import type { Harness, Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { makeCertificate, type TestCertificate } from "./certificate.ts";
import { listenerConformance, type Pair, transportConformance } from "./conformance.ts";

const MiB = 1024 * 1024;
const URL_HERE = "https://127.0.0.1:0";

/** Deno is the one runtime that has both ends. */
export const webTransportSuite: Suite = (harness) => {
  refusals(harness);
  if (harness.runtime !== "deno") return;
  bothEnds({ ...harness, test: (name, body) => harness.test(`${name} (deno only)`, body) });
};

const bothEnds: Suite = (harness) => {
  let made: TestCertificate | undefined;
  const certificate = () => {
    made ??= makeCertificate();
    return made;
  };
  const listenHere = async (onError?: (error: Error) => void): Promise<Listener> => {
    const { cert, key, sha256 } = certificate();
    const listener = await listen(URL_HERE, { cert, key, ...(onError && { onError }) });
    return Object.assign(Object.create(listener), {
      url: `${listener.url}#sha256=${sha256}`,
      connections: listener.connections,
      close: () => listener.close(),
    });
  };
  const openPair = async (): Promise<Pair> => {
    const listener = await listenHere();
    const taking = listener.connections.getReader();
    const [near, { value: far }] = await Promise.all([connect(listener.url), taking.read()]);
    await listener.close();
    return [near, far as Connection];
  };
  transportConformance(harness, "webtransport", openPair, { reset: true });
  const swapped = async (): Promise<Pair> => {
    const [near, far] = await openPair();
    return [far, near];
  };
  transportConformance(harness, "webtransport, accepted end first", swapped, { reset: true });
  listenerConformance(harness, "webtransport", {
    listen: () => listenHere(),
    connect: (url, signal) => connect(url, { signal, connectTimeoutMs: 1_000 }),
  });
  session(harness, listenHere);
};

function session({ test }: Harness, listenHere: () => Promise<Listener>): void {
  test("webtransport: a session moves tensors both ways over its lanes, and resumes after a cut", async () => {
    const listener = await listenHere();
    const address = { model: "m", partition: "p", tensor: "w" };
    const bytes = patterned(24 * MiB + 77);
    const [store, sinks] = [new MemoryStore(), new MemoryStore()];
    store.set(address, bytes);
    const host = new PeerHost(listener.connections, { peer: () => ({ store, sinks }) });
    let lanes = 0;
    const dial = async (signal?: AbortSignal): Promise<Connection> => {
      const connection = await connect(listener.url, { signal });
      const own = connection.lanes as NonNullable<Connection["lanes"]>;
      const open = () => {
        lanes++;
        return own.open();
      };
      return Object.assign(connection, { lanes: { ...own, open } });
    };
    const client = new TensorPeer(dial, { retry: { baseDelayMs: 1 } });
    const pull = client.requestTensor(address, { into: "memory" });
    while (pull.progress.bytes < 4 * MiB) await new Promise((resolve) => setTimeout(resolve, 1));
    client.disconnect();
    assert.isTrue(sameBytes(await pull.bytes(), bytes));
    assert.equal(pull.verified, "root");
    assert.isBelow(client.receivedBytes, 44 * MiB);
    assert.equal(lanes, 16, "eight further lanes for each connection");
    await client.streamTensor({ ...address, tensor: "x" }, bytes).done;
    assert.isTrue(sameBytes(sinks.get({ ...address, tensor: "x" })?.bytes as Uint8Array, bytes));
    await client.close();
    await host.close();
  });

  test("webtransport: who breaks the records is cut off, and it is not taken for a lost link", async () => {
    const listener = await listenHere();
    const [href, hex = ""] = listener.url.split("#sha256=");
    const value = Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
    const session = new WebTransport(href as string, {
      serverCertificateHashes: [{ algorithm: "sha-256", value }],
    });
    session.closed.catch(() => {});
    await session.ready;
    const { writable } = await session.createBidirectionalStream();
    await writable.getWriter().write(Uint8Array.of(0xfd, 0xff, 0xff, 0xff));
    const { value: accepted } = await listener.connections.getReader().read();
    const reading = accepted?.readable.getReader().read();
    await assertRejects(() => reading as Promise<unknown>, ProtocolError, /0xfffffffd/);
    await assertRejects(() => accepted?.closed as Promise<unknown>, ProtocolError, /./);
    await session.closed.catch(() => {});
    await listener.close();
  });

  test("webtransport: a certificate that is not the pinned one is refused", async () => {
    const listener = await listenHere();
    const url = `${listener.url.slice(0, -64)}${"0".repeat(64)}`;
    await assertRejects(() => connect(url), TransportError, /cannot be reached/);
    await listener.close();
  });
}

function refusals({ test, runtime }: Harness): void {
  test("webtransport: URLs that are none, and runtimes that have none, are told apart from failures", async () => {
    for (const url of ["wss://peer", "https://user@peer", "https://peer#sha256=12", "https://"]) {
      await assertRejects(() => connect(url), TypeError, /./);
    }
    if (runtime !== "deno") {
      await assertRejects(() => connect("https://peer"), TypeError, /option WebTransport/);
    }
  });
}
