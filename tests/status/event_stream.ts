// What is told as it happens: complete, and never more than its reader takes.
import { assert } from "chai";
import { PeerRegistry } from "../../lib/session/peer_registry.ts";
import { NodeView } from "../../lib/status/node_status.ts";
import { type StatusEvent, StatusFeed } from "../../lib/status/status_feed.ts";
import type { Suite } from "../harness.ts";
import { ManualClock, settle } from "../session/support/manual_clock.ts";
import { turn } from "../transports/conformance.ts";
import { change, ShownNode } from "./support.ts";

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function listen(node: ShownNode, query = ""): Promise<Reader> {
  const { body, headers } = await node.fetch(`/api/events${query}`);
  assert.equal(headers.get("content-type"), "text/event-stream");
  return (body as ReadableStream<Uint8Array>).getReader();
}

async function nextEvent(reader: Reader): Promise<StatusEvent> {
  const { value } = await reader.read();
  const [, kind, , data] = /^event: (.*)\nid: (.*)\ndata: (.*)\n\n$/.exec(
    new TextDecoder().decode(value),
  ) as RegExpExecArray;
  assert.equal(kind, "status");
  return JSON.parse(data as string);
}

export const eventStreamSuite: Suite = ({ test }) => {
  test("events: first everything, then what has changed, and what is shown no more", async () => {
    const clock = new ManualClock();
    const node = new ShownNode(7, { clock });
    const reader = await listen(node);
    const empty = await nextEvent(reader);
    assert.isTrue(empty.isFull);
    assert.deepEqual(empty.transfers, []);
    const [first] = await node.ask();
    const next = async () => {
      const event = nextEvent(reader);
      await settle();
      await clock.advance(1000);
      return event;
    };
    const begun = await next();
    assert.isFalse(begun.isFull);
    assert.equal(begun.transfers.length, 7);
    assert.deepEqual((await next()).transfers, [], "nothing has happened");
    await node.fetch(`/api/transfers/${first?.id}/priority`, change({ priority: 9 }));
    const changed = await next();
    assert.deepEqual(
      changed.transfers.map(({ id, priority }) => [id, priority]),
      [[first?.id, 9]],
    );
    node.letGo();
    while (node.registry.transfers.length > 0) await turn();
    // Five are remembered.
    const ended = await next();
    assert.equal(ended.transfers.length, 5);
    assert.equal(ended.gone.length, 2);
    assert.match(ended.gone[0] ?? "", /^[0-9a-f]{32}\/out$/);
    assert.equal(ended.totals.out.complete, 7);
    await reader.cancel();
    assert.equal(clock.pending, 0);
    await node.close();
  });

  test("events: who does not read costs nothing, and hears the latest once he reads", async () => {
    const clock = new ManualClock();
    const node = new ShownNode(1, { clock });
    let looks = 0;
    const { registry } = node;
    const { totals } = registry;
    registry.totals = () => {
      looks++;
      return totals.call(registry);
    };
    const [silent, other] = [await listen(node), await listen(node)];
    assert.isTrue((await nextEvent(silent)).isFull);
    assert.isTrue((await nextEvent(other)).isFull);
    assert.equal(looks, 1, "both were told the same");
    const [transfer] = await node.ask();
    for (const priority of [1, 2, 3]) {
      await node.fetch(`/api/transfers/${transfer?.id}/priority`, change({ priority }));
      await clock.advance(10_000);
    }
    assert.equal(looks, 1, "nobody has asked");
    assert.equal(clock.pending, 0);
    const { transfers } = await nextEvent(silent);
    assert.deepEqual(
      transfers.map((one) => one.priority),
      [3],
    );
    await silent.cancel();
    await other.cancel();
    await node.close();
  });

  test("events: those who have heard as much are given the same bytes", () => {
    const clock = new ManualClock();
    const registry = new PeerRegistry();
    const shown = { registry, node: "n", role: "mixed", isSteerable: false, clock };
    const feed = new StatusFeed(new NodeView(shown), clock);
    const first = feed.since(0);
    assert.strictEqual(feed.since(0).event, first.event, "encoded once");
    assert.notStrictEqual(feed.since(first.round).event, first.event, "nothing is new to this one");
  });

  test("events: only so many may listen, and one that leaves makes room", async () => {
    const node = new ShownNode(0, { maxListeners: 2 });
    const [first] = [await listen(node), await listen(node)];
    assert.equal((await node.fetch("/api/events")).status, 503);
    await first?.cancel();
    await listen(node);
    assert.equal((await node.fetch("/api/events")).status, 503);
    await node.close();
  });
};
