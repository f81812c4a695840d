import { assert } from "chai";
import {
  IntegrityError,
  NotFoundError,
  TransportError,
  UnauthorisedError,
} from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { tensorRoot } from "../../lib/tensor/root.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { FRAME } from "../../lib/wire/frame_header.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { turn } from "../transports/conformance.ts";
import { frameCounts } from "./support/frame_counts.ts";
import { settle } from "./support/manual_clock.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { slowConnection } from "./support/slow_connection.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

const KiB = 1024;
const addressOf = (n: number): TensorAddress => ({ ...WEIGHTS, tensor: `small.${n}` });

export const smallTensorsSuite: Suite = ({ test }) => {
  test("small tensors: one goes in one frame, either way, verified to its root", async () => {
    for (const byteLength of [0, 1, 4096, 64 * KiB]) {
      const bytes = patterned(byteLength);
      const store = new MemoryStore();
      store.set(WEIGHTS, bytes);
      const sinks = new MemoryStore();
      const { pair, sent } = frameCounts({ store, sinks });
      const [client, server] = pair;
      const pull = client.requestTensor(WEIGHTS, { into: "memory" });
      assert.isTrue(sameBytes(await pull.bytes(), bytes));
      const digests = byteLength === 0 ? [] : [await sha256([bytes])];
      const root = await tensorRoot(createDescriptor("U8", [byteLength]), digests, sha256);
      assert.deepEqual(pull.root, root);
      assert.equal(pull.verified, "root");
      await client.streamTensor(WEIGHTS, bytes).done;
      assert.isTrue(sameBytes(sinks.get(WEIGHTS)?.bytes ?? new Uint8Array(1), bytes));
      for (const counts of [sent.client, sent.server]) {
        for (const type of [FRAME.offer, FRAME.accept, FRAME.chunk, FRAME.complete]) {
          assert.isUndefined(counts.get(type), `${byteLength} bytes, type ${type}`);
        }
      }
      assert.equal(sent.server.get(FRAME.tensor), 1);
      assert.equal(sent.client.get(FRAME.tensor), 1);
      await client.close();
      await server.close();
    }
  });

  test("small tensors: pushed among large ones, all come, beginning in the order of their numbers", async () => {
    const sinks = new MemoryStore();
    const [near, far] = connectionPair();
    const server = new TensorPeer(far, { sinks, accepted: true });
    const client = new TensorPeer(slowConnection(near));
    // What fills the link, so that small ones wait for their turn while large ones are offered.
    const pushes = [client.streamTensor(WEIGHTS, patterned(8 * LEAF)).done];
    await settle();
    for (let n = 0; n < 30; n++) {
      const bytes = patterned(n % 2 === 0 ? 100 : 128 * KiB);
      pushes.push(client.streamTensor(addressOf(n), bytes).done);
      if (n % 3 === 0) await turn();
    }
    await Promise.all(pushes);
    for (let n = 0; n < 30; n++) assert.isDefined(sinks.get(addressOf(n)), `${n}`);
    await client.close();
    await server.close();
  });

  test("small tensors: a push that waits for its turn learns that the link was lost", async () => {
    const [near, far] = connectionPair();
    const raw = new RawPeer(far);
    const client = new TensorPeer(near);
    const push = client.streamTensor(WEIGHTS, patterned(100));
    await raw.greet({ connectionCredit: 0 });
    await raw.next(FRAME.ping);
    await settle();
    raw.close(new TransportError("The cable was cut"));
    await assertRejects(() => push.done, TransportError, /./);
    await client.close();
  });

  test("small tensors: lists of what cannot be read leave the connection all its credit", async () => {
    const broken = new TestSource(patterned(1000));
    broken.onRead = () => Promise.reject(new Error("EIO"));
    const whole = new TestSource(patterned(3 * LEAF));
    const addresses = Array.from({ length: 64 }, (_, n) => addressOf(n));
    const sources = addresses.map((address): [TensorAddress, TestSource] => [address, broken]);
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, whole], ...sources) });
    let failed = 0;
    for (let lists = 0; lists < 10; lists++) {
      const onFailed = () => failed++;
      for await (const _ of client.requestTensors(addresses, { onFailed })) assert.fail();
    }
    assert.equal(failed, 640);
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), whole.bytes));
    await client.close();
    await server.close();
  });

  test("small tensors: callers that pause in their lists leave others the connection's credit", async () => {
    const store = new MemoryStore();
    const addresses = Array.from({ length: 200 }, (_, n) => addressOf(n));
    for (const address of addresses) store.set(address, patterned(64 * KiB));
    store.set(WEIGHTS, patterned(16 * LEAF));
    const [near, far] = connectionPair();
    const server = new TensorPeer(far, { store, accepted: true });
    const client = new TensorPeer(near, { limits: { connectionWindowBytes: 8 * LEAF } });
    const lists = [1, 2, 3].map(() => client.requestTensors(addresses));
    for (const list of lists) assert.isFalse((await list.next()).done);
    await settle();
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), patterned(16 * LEAF)));
    for (const list of lists) {
      let count = 1;
      for await (const { bytes } of list) count += bytes.byteLength / (64 * KiB);
      assert.equal(count, addresses.length);
    }
    await client.close();
    await server.close();
  });

  test("small tensors: one byte more than fits into a frame is offered as any other", async () => {
    const bytes = patterned(64 * KiB + 1);
    const store = new MemoryStore();
    store.set(WEIGHTS, bytes);
    const { pair, sent } = frameCounts({ store });
    const [client, server] = pair;
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), bytes));
    assert.isUndefined(sent.server.get(FRAME.tensor));
    assert.equal(sent.server.get(FRAME.offer), 1);
    await client.close();
    await server.close();
  });

  test("small tensors: go to a stream and to a sink of the caller's too, and without digests", async () => {
    const source = new TestSource(patterned(5000));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    for (const digest of ["sha256", "none"] as const) {
      const transfer = client.requestTensor(WEIGHTS, { digest });
      const bytes = new Uint8Array(await new Response(transfer.readable as BodyInit).arrayBuffer());
      assert.isTrue(sameBytes(bytes, source.bytes));
      await transfer.done;
      assert.equal(transfer.verified, digest === "none" ? "checksums" : "root");
    }
    assert.equal(source.opened, source.closed);
    await client.close();
    await server.close();
  });

  test("small tensors: a push that nobody takes is refused, a version that is not wanted too", async () => {
    const source = new TestSource(patterned(100));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    const push = client.streamTensor(WEIGHTS, patterned(10));
    await assertRejects(() => push.done, UnauthorisedError, /no pushes/);
    const version = Uint8Array.of(9);
    const pull = client.requestTensor(WEIGHTS, { version, into: "memory" });
    await assertRejects(() => pull.done, IntegrityError, /not the version/);
    await client.close();
    await server.close();
  });

  test("small tensors: a source that changes while it is read is an error at source", async () => {
    const source = new TestSource(patterned(100));
    source.onRead = () => {
      source.versionNumber++;
    };
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    const transfer = client.requestTensor(WEIGHTS, { into: "memory" });
    await assertRejects(() => transfer.done, IntegrityError, /changed while it was sent/);
    await client.close();
    await server.close();
  });

  test("request lists: twenty thousand tensors come verified, by few frames and one at a time", async () => {
    const store = new MemoryStore();
    const addresses = Array.from({ length: 20_000 }, (_, n) => addressOf(n));
    for (const [n, address] of addresses.entries()) store.set(address, new Uint32Array([n, n * 7]));
    const { pair, sent } = frameCounts({ store });
    const [client, server] = pair;
    const seen = new Set<string>();
    for await (const { address, bytes, descriptor } of client.requestTensors(addresses)) {
      const [n, seven] = new Uint32Array(bytes.slice().buffer);
      assert.equal(address.tensor, `small.${n}`);
      assert.equal(seven, (n ?? 0) * 7);
      assert.equal(descriptor.dtype, "U32");
      seen.add(address.tensor);
    }
    assert.equal(seen.size, addresses.length);
    assert.isUndefined(sent.client.get(FRAME.request));
    assert.isBelow(sent.client.get(FRAME.requests) ?? 0, 100);
    assert.equal(sent.server.get(FRAME.tensor), 20_000);
    assert.isBelow(sent.client.get(FRAME.receipts) ?? 0, 2_000);
    assert.isEmpty(server.transfers);
    await client.close();
    await server.close();
  });

  test("request lists: a store's tensor is hashed once, and a new version of it anew", async () => {
    let hashed = 0;
    const counting: typeof sha256 = (parts) => {
      hashed++;
      return sha256(parts);
    };
    const store = new MemoryStore();
    const addresses = Array.from({ length: 20 }, (_, n) => addressOf(n));
    for (const address of addresses) store.set(address, patterned(4 * KiB));
    const [client, server] = peerPair({ store, sha256: counting });
    for (const expected of [20, 20, 21]) {
      if (expected === 21) store.set(addressOf(7), patterned(8 * KiB));
      for await (const { address, bytes } of client.requestTensors(addresses)) {
        assert.isTrue(sameBytes(bytes, store.get(address)?.bytes ?? new Uint8Array()));
      }
      assert.equal(hashed, expected);
    }
    await client.close();
    await server.close();
  });

  test("request lists: large ones are fetched by themselves, and none is lost among the small", async () => {
    const store = new MemoryStore();
    const sizes = [10, 3 * LEAF, 64 * KiB, 64 * KiB + 1, 0, LEAF];
    for (const [n, size] of sizes.entries()) store.set(addressOf(n), patterned(size));
    const [client, server] = peerPair({ store });
    const found = new Map<string, number>();
    const addresses = sizes.map((_, n) => addressOf(n));
    for await (const { address, bytes } of client.requestTensors(addresses)) {
      assert.isTrue(sameBytes(bytes, store.get(address)?.bytes ?? new Uint8Array()));
      found.set(address.tensor, bytes.byteLength);
    }
    assert.deepEqual([...found.values()].sort(), [...sizes].sort());
    await client.close();
    await server.close();
  });

  test("request lists: what is missing ends the list, or is told to whoever wants to know", async () => {
    const store = new MemoryStore();
    for (let n = 0; n < 10; n++) store.set(addressOf(n), patterned(8));
    const [client, server] = peerPair({ store });
    const addresses = Array.from({ length: 12 }, (_, n) => addressOf(n));
    const drain = async (onFailed?: (address: TensorAddress, error: unknown) => void) => {
      let count = 0;
      for await (const _ of client.requestTensors(addresses, onFailed && { onFailed })) count++;
      return count;
    };
    await assertRejects(() => drain(), NotFoundError, /small\.1[01]/);
    const failed: string[] = [];
    const count = await drain((address, error) => {
      assert.instanceOf(error, NotFoundError);
      failed.push(address.tensor);
    });
    assert.equal(count, 10);
    assert.sameMembers(failed, ["small.10", "small.11"]);
    await client.close();
    await server.close();
  });

  test("request lists: a caller that stops taking stops the asking, and leaving ends everything", async () => {
    const store = new MemoryStore();
    const addresses = Array.from({ length: 2_000 }, (_, n) => addressOf(n));
    for (const address of addresses) store.set(address, patterned(32 * KiB));
    const { pair, sent } = frameCounts({ store, codecs: [] });
    const [client, server] = pair;
    let count = 0;
    for await (const _ of client.requestTensors(addresses)) {
      if (++count === 3) break;
    }
    assert.isAtMost((sent.server.get(FRAME.tensor) ?? 0) * 32 * KiB, 16 * LEAF);
    // What was given up takes no credit with it.
    const last = client.requestTensor(addressOf(1), { into: "memory" });
    assert.equal((await last.bytes()).byteLength, 32 * KiB);
    assert.equal(client.heldBytes, 0);
    await client.close();
    await server.close();
  });
};
