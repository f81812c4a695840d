// What is logged, for whoever listens; and that nobody else pays for it.
import { type LogRecord, reset } from "@logtape/logtape";
import { assert } from "chai";
import { TransportError, UnauthorisedError } from "../../lib/errors.ts";
import { EventLog } from "../../lib/log.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned } from "../streams/support.ts";
import { damagedConnection } from "./damaged_connection.ts";
import { logged } from "./support/logged.ts";
import { cut, Place } from "./support/place.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";

const eventsOf = (records: readonly LogRecord[]) =>
  records.map(({ properties }) => properties.event);
const find = (records: readonly LogRecord[], event: string) =>
  records.find(({ properties }) => properties.event === event)?.properties ?? {};

/** A tensor that is asked for once. */
async function transfer(bytes: number, chunkBytes: number): Promise<void> {
  const store = new MemoryStore();
  store.set(WEIGHTS, patterned(bytes));
  const [here, there] = connectionPair();
  const server = new TensorPeer(there, { store, chunkBytes, accepted: true });
  const client = new TensorPeer(here);
  await client.requestTensor(WEIGHTS, { into: "memory" }).done;
  await Promise.all([client.close(), server.close()]);
}

export const logsSuite: Suite = ({ test }) => {
  test("logs: a transfer that is cut and goes on is told event by event", async () => {
    let id = "";
    const records = await logged(async () => {
      const source = new TestSource(patterned(8 * LEAF));
      const place = new Place({ store: storeOf([WEIGHTS, source]), node: "server" });
      const peer = new TensorPeer(place.connect, { retry: { baseDelayMs: 0 } });
      const wanted = peer.requestTensor(WEIGHTS);
      id = wanted.id;
      let isCut = false;
      const reader = wanted.readable.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        if (!isCut && wanted.progress.bytes >= 3 * LEAF) cut(place);
        isCut ||= wanted.progress.bytes >= 3 * LEAF;
      }
      await wanted.done;
      await peer.close();
      await place.close();
    });
    const own = records.filter(
      ({ properties }) => properties.id === id || properties.node === "server",
    );
    const events = eventsOf(own.filter(({ properties }) => properties.direction !== "out"));
    assert.includeMembers(events, ["connection up", "transfer begun", "connection down"]);
    assert.isBelow(events.indexOf("connection down"), events.lastIndexOf("connection up"));
    assert.isBelow(events.indexOf("transfer begun"), events.indexOf("transfer retried"));
    assert.isBelow(events.indexOf("transfer retried"), events.indexOf("transfer resumed"));
    assert.isBelow(events.indexOf("transfer resumed"), events.indexOf("transfer complete"));
    assert.include(eventsOf(records), "dial again");
    assert.deepInclude(find(records, "transfer retried"), {
      id,
      address: "m/default/w",
      attempt: 1,
    });
    assert.isAtLeast(find(records, "transfer resumed").leaves as number, 3);
    const complete = own.find(({ properties }) => properties.event === "transfer complete");
    assert.deepInclude(complete?.properties, { bytes: 8 * LEAF, retries: 1, verified: "root" });
    assert.isNumber(complete?.properties.durationMs);
    assert.isTrue(records.every(({ level }) => level === "debug"));
    const words = complete?.message.map(String).join("") ?? "";
    assert.match(words, new RegExp(`^transfer complete id=${id} address=m/default/w `));
  });

  test("logs: leaves that are fetched again are told with which and why, failures and cancels likewise", async () => {
    const records = await logged(async () => {
      const store = new MemoryStore();
      store.set(WEIGHTS, patterned(3 * LEAF));
      const [here, there] = connectionPair();
      const server = new TensorPeer(there, { store, codecs: [], accepted: true });
      const client = new TensorPeer(damagedConnection(here, [1.5 * LEAF]));
      await client.requestTensor(WEIGHTS, { into: "memory" }).done;
      const missing = client.requestTensor({ ...WEIGHTS, tensor: "none" });
      await assertRejects(() => missing.done, Error, /none/);
      const unwanted = client.requestTensor(WEIGHTS);
      unwanted.cancel(new Error("not needed"));
      await assertRejects(() => unwanted.done, Error, /not needed/);
      await Promise.all([client.close(), server.close()]);
    });
    assert.deepInclude(find(records, "leaves fetched again"), {
      leaves: 1,
      firstLeaf: 1,
      attempt: 0,
    });
    assert.match(String(find(records, "leaves fetched again").why), /damaged|checksum|match/);
    assert.deepInclude(find(records, "transfer failed"), { code: "not_found" });
    assert.deepInclude(find(records, "transfer cancelled"), { error: "not needed" });
  });

  test("logs: no line is made for a chunk", async () => {
    const few = await logged(() => transfer(LEAF, LEAF));
    const many = await logged(() => transfer(4 * LEAF, 1024));
    assert.deepEqual(eventsOf(many).sort(), eventsOf(few).sort());
  });

  test("logs: nothing is made of what nobody listens to", async () => {
    // LogTape is loaded at the first event that somebody may listen to, which waits for it.
    await logged(async () => {});
    await reset();
    let made = 0;
    const log = new EventLog("session");
    log.event("something", () => ({ made: ++made }));
    assert.equal(made, 0);
    assert.isFalse(log.isOn);
    const records = await logged(async () => log.event("something", () => ({ made: ++made })));
    assert.equal(made, 1);
    assert.deepEqual(eventsOf(records), ["something"]);
  });

  test("logs: no token is ever in them, whether it is the right one or not", async () => {
    const [right, wrong] = ["s3cret-of-the-right-kind", "s3cret-of-the-wrong-kind"];
    const records = await logged(async () => {
      for (const token of [right, wrong]) {
        const [here, there] = connectionPair();
        const authorise = (found: string | undefined) => found === right;
        const server = new TensorPeer(there, { authorise, accepted: true });
        server.closed.catch(() => {});
        const client = new TensorPeer(here, { token });
        client.closed.catch(() => {});
        if (token === right) await client.list();
        else await assertRejects(() => client.list(), UnauthorisedError, /token/);
        client.destroy(new TransportError("over"));
        server.destroy(new TransportError("over"));
      }
    });
    assert.include(eventsOf(records), "connection up");
    assert.include(eventsOf(records), "connection refused");
    assert.notInclude(JSON.stringify(records), "s3cret");
  });
};
