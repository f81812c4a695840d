// What an end that cannot dial may rely on when its connection is lost.
import { assert } from "chai";
import { ProtocolError, TransportError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { turn } from "../transports/conformance.ts";
import { ManualClock, settle } from "./support/manual_clock.ts";
import { cut, Place } from "./support/place.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";

const FAST = { baseDelayMs: 0, maxDelayMs: 0 };

function slowSource(leaves: number): TestSource {
  const source = new TestSource(patterned(leaves * LEAF));
  source.onRead = () => turn();
  return source;
}

export const peerLinkSuite: Suite = ({ test }) => {
  test("link: what the accepting end pushes goes on when the other end has dialled again", async () => {
    const sinks = new MemoryStore();
    const place = new Place({ codecs: [] });
    await using client = new TensorPeer(place.connect, { sinks, retry: FAST });
    await client.remoteHello();
    const [server] = place.host.peers;
    const source = slowSource(16);
    const push = server?.streamTensor(WEIGHTS, source);
    while ((push?.progress.bytes ?? 0) < 6 * LEAF) await turn();
    cut(place);
    await push?.done;
    assert.isTrue(sameBytes(sinks.get(WEIGHTS)?.bytes ?? new Uint8Array(), source.bytes));
    assert.equal(push?.progress.retries, 1);
    assert.isBelow(client.receivedBytes, 20 * LEAF, "what had arrived was not sent again");
    assert.lengthOf(place.accepted, 2);
    await place.close();
  });

  test("link: what it asks for and follows goes on too, cut after cut", async () => {
    const store = new MemoryStore();
    const source = slowSource(16);
    const place = new Place({});
    await using client = new TensorPeer(place.connect, {
      store: storeOf([WEIGHTS, source]),
      retry: FAST,
      codecs: [],
    });
    await client.remoteHello();
    const [server] = place.host.peers;
    const pull = server?.requestTensor(WEIGHTS, { into: store });
    for (const leaves of [3, 7, 11]) {
      while ((pull?.progress.bytes ?? 0) < leaves * LEAF) await turn();
      cut(place);
    }
    await pull?.done;
    assert.isTrue(sameBytes(store.get(WEIGHTS)?.bytes ?? new Uint8Array(), source.bytes));
    assert.equal(pull?.verified, "root");
    assert.lengthOf(place.accepted, 4);
    await place.close();
  });

  test("link: an end that is let go of its transfer says so over the connection that took over", async () => {
    const source = slowSource(400);
    const place = new Place({});
    await using client = new TensorPeer(place.connect, {
      store: storeOf([WEIGHTS, source]),
      retry: FAST,
      codecs: [],
    });
    await client.remoteHello();
    const [server] = place.host.peers;
    const pull = server?.requestTensor(WEIGHTS, { into: "memory" });
    while ((pull?.progress.bytes ?? 0) < 2 * LEAF) await turn();
    cut(place);
    while ((pull?.progress.retries ?? 0) === 0 || pull?.phase !== "moving") await turn();
    while (client.transfers.length === 0) await turn();
    const [sent] = client.transfers;
    await server?.close();
    await assertRejects(() => pull?.done, DOMException, /closed/);
    await assertRejects(() => sent?.done, Error, /./);
    assert.equal(sent?.status, "cancelled");
    assert.equal(place.host.peers.length, 1, "the newer connection lives on");
    await place.close();
  });

  test("link: an end that said goodbye is not waited for", async () => {
    const place = new Place({});
    const source = slowSource(400);
    const client = new TensorPeer(place.connect, { store: storeOf([WEIGHTS, source]) });
    await client.remoteHello();
    const [server] = place.host.peers;
    const pull = server?.requestTensor(WEIGHTS, { into: "memory" });
    while ((pull?.progress.bytes ?? 0) < 2 * LEAF) await turn();
    await client.close();
    await assertRejects(() => pull?.done, TransportError, /said goodbye/);
    await server?.closed;
    assert.isEmpty(place.host.peers);
    await place.close();
  });

  test("link: an end that does not come back in time is given up", async () => {
    const clock = new ManualClock();
    const place = new Place({ clock, limits: { returnTimeoutMs: 1_000 } });
    const source = slowSource(400);
    let mayDial = true;
    const connect = async () => {
      if (mayDial) return place.connect();
      throw new TransportError("no way", { retryable: false });
    };
    await using client = new TensorPeer(connect, {
      store: storeOf([WEIGHTS, source]),
      retry: FAST,
    });
    await client.remoteHello();
    const [server] = place.host.peers;
    const pull = server?.requestTensor(WEIGHTS, { into: "memory" });
    while ((pull?.progress.bytes ?? 0) < 2 * LEAF) await turn();
    mayDial = false;
    cut(place);
    while (pull?.phase !== "retrying") await turn();
    await settle();
    assert.lengthOf(place.host.peers, 1, "it is kept for what waits");
    await clock.advance(1_000);
    await assertRejects(() => pull?.done, TransportError, /did not come back within 1000 ms/);
    await assertRejects(() => server?.closed, TransportError, /cut/);
    assert.isEmpty(place.host.peers);
    await place.close();
  });

  test("link: a greeting that is damaged is tried again, but not of whoever was never understood", async () => {
    const source = slowSource(16);
    const place = new Place({ store: storeOf([WEIGHTS, source]), codecs: [] });
    const garbage = async () => {
      const [near, far] = connectionPair();
      const writer = far.writable.getWriter();
      writer.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request")).catch(() => {});
      return near;
    };
    let dials = 0;
    const connect = () => (++dials === 2 ? garbage() : place.connect());
    await using client = new TensorPeer(connect, { retry: FAST });
    const pull = client.requestTensor(WEIGHTS, { into: "memory" });
    while (pull.progress.bytes < 3 * LEAF) await turn();
    cut(place);
    assert.isTrue(sameBytes(await pull.bytes(), source.bytes));
    assert.equal(dials, 3);
    await using lost = new TensorPeer(garbage, { retry: FAST });
    await assertRejects(() => lost.list(), ProtocolError, /does not speak headrace/);
    await place.close();
  });
};
