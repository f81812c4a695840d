// What programs that were written for the older protocols may rely on.
import { assert } from "chai";
import { StandardProtocol } from "../../lib/compat/standard_protocol.ts";
import { StreamingProtocol } from "../../lib/compat/streaming_protocol.ts";
import { NotFoundError, TransportError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { noted, Sent } from "../config/watched_exchange.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock, quiet } from "../session/support/manual_clock.ts";
import { LEAF } from "../session/support/tensors.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { standardProgram, streamingProgram } from "./two_programs.ts";

const addressOf = (tensor: string) => ({ model: "m", partition: "p", tensor });

async function all(protocol: StreamingProtocol, streamID: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const { data } of protocol.receiveChunks(streamID)) parts.push(data);
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

export const olderProtocolsSuite: Suite = ({ test }) => {
  test("older protocol: a standard and a streaming program exchange tensors both ways", async () => {
    const weights = { standard: patterned(3 * LEAF + 17), streaming: patterned(2 * LEAF + 5) };
    const store = new MemoryStore();
    store.set(addressOf("asked of streaming"), weights.streaming);
    const [here, there] = connectionPair();
    const standard = new StandardProtocol(here);
    const streaming = new StreamingProtocol(there, { store, accepted: true });
    streaming.setChunkSize(65_536);
    await Promise.all([
      standardProgram(standard, weights),
      streamingProgram(streaming, weights, 65_536),
    ]);
    await Promise.all([standard.close(), streaming.close()]);
  });

  test("older protocol: its programs and plain peers understand each other: there is one wire", async () => {
    const sinks = new MemoryStore();
    sinks.set(addressOf("there"), Uint8Array.of(1, 2, 3));
    const [here, there] = connectionPair();
    await using plain = new TensorPeer(there, { sinks, store: sinks, accepted: true });
    await using program = new StreamingProtocol(here);
    await program.streamTensor("m", "p", "sent", new Float32Array([1, 2]));
    assert.include(sinks.get(addressOf("sent"))?.descriptor, { dtype: "F32" });
    assert.deepEqual(
      await all(program, await program.requestTensor("m", "p", "there")),
      Uint8Array.of(1, 2, 3),
    );
    await plain.streamTensor(addressOf("pushed"), Uint8Array.of(9)).done;
    assert.deepEqual((await program.receiveMessage()).data, Uint8Array.of(9));
  });

  test("older protocol: what is set right after the constructor is in force, later it is misuse", async () => {
    const [near, far] = connectionPair();
    const sent = new Sent();
    const program = new StreamingProtocol(noted(near, sent));
    program.setChunkSize(100_000);
    program.setCompressionEnabled(false);
    program.setCompressionThreshold(0);
    program.setDefaultPriority(7);
    const other = new StandardProtocol(far, { accepted: true });
    await program.streamTensor("m", "p", "w", new Uint8Array(350_000));
    assert.deepEqual(sent.hello?.codecs, []);
    assert.deepEqual(
      sent.chunks.map(({ rawBytes }) => rawBytes),
      [100_000, 100_000, 100_000, 50_000],
    );
    assert.equal([...program.getAllTransfers().values()][0]?.priority, 7);
    program.setDefaultPriority(9);
    assert.throws(() => program.setChunkSize(4096), TypeError, /right after the constructor/);
    for (const misuse of [
      () => program.setChunkSize(1),
      () => program.setDefaultPriority(256),
      () => program.setCompressionThreshold(-1),
    ]) {
      assert.throws(misuse, RangeError);
    }
    await Promise.all([program.close(), other.close()]);
  });

  test("older protocol: the retry policy that is set decides when is dialled again", async () => {
    const clock = new ManualClock();
    let dials = 0;
    const dial = () => {
      dials++;
      return Promise.reject(new TransportError("nobody there"));
    };
    const program = new StreamingProtocol(dial, { clock, random: () => 0.5 });
    program.setRetryPolicy({
      maxRetries: 2,
      baseDelay: 7,
      maxDelay: 20,
      backoffFactor: 3,
      jitterFactor: 0,
    });
    await assertRejects(() => clock.runUntil(program.sendHeartbeat()), Error, /3 failed attempts/);
    assert.equal(dials, 3);
    assert.deepEqual(clock.delaysMs, [7, 20]);
    await program.close();
  });

  test("older protocol: both may send before either reads, and what does not fit waits at its sender", async () => {
    const [near, far] = connectionPair();
    const sent = new Sent();
    const one = new StandardProtocol(noted(near, sent), { codecs: [] });
    const other = new StandardProtocol(far, { accepted: true, maxWaitingBytes: 2 * LEAF });
    await Promise.all([
      one.sendTensorSync("m", "p", "a", new Uint8Array(LEAF)),
      other.sendTensorSync("m", "p", "b", new Uint8Array(LEAF)),
    ]);
    const bytes = patterned(40 * LEAF);
    const large = one.sendTensorSync("m", "p", "large", bytes);
    await quiet(() => sent.chunkDataBytes);
    assert.isBelow(sent.chunkDataBytes, 12 * LEAF);
    // What was sent here may be acknowledged before or after what came is here.
    const came = [await other.receiveMessage(), await other.receiveMessage()];
    assert.sameMembers(
      came.map(({ header: { type, tensorID } }) => `${type} ${tensorID}`),
      ["tensor_sync a", "tensor_ack b"],
    );
    const { header, data } = await other.receiveMessage();
    assert.equal(header.tensorID, "large");
    assert.isTrue(sameBytes(data, bytes));
    await large;
    await Promise.all([one.close(), other.close()]);
  });

  test("older protocol: a transfer that failed is resumed behind the last chunk that was read", async () => {
    const bytes = patterned(12 * LEAF);
    const store = new MemoryStore();
    store.set(addressOf("w"), bytes);
    const servers: TensorPeer[] = [];
    const connect = async () => {
      const [here, there] = connectionPair();
      servers.push(new TensorPeer(there, { store, codecs: [], accepted: true }));
      return here;
    };
    const program = new StreamingProtocol(connect);
    program.setRetryPolicy({ maxRetries: 0 });
    const id = await program.requestTensor("m", "p", "w");
    const read: Uint8Array[] = [];
    const loop = async () => {
      for await (const { data, byteOffset } of program.receiveChunks(id)) {
        assert.equal(byteOffset, read.length * LEAF);
        read.push(data);
        if (read.length === 5) servers[0]?.destroy(new TransportError("cut"));
      }
    };
    await assertRejects(loop, Error, /failed attempts/);
    assert.equal(program.getTransferState(id).status, "failed");
    assert.isBelow(read.length, 12);
    assert.isTrue(await program.resumeTensorTransfer(id));
    await loop();
    const whole = new Uint8Array(await new Blob(read as BlobPart[]).arrayBuffer());
    assert.isTrue(sameBytes(whole, bytes));
    assert.isBelow(servers[1]?.sentBytes ?? 0, 11 * LEAF);
    assert.isFalse(await program.resumeTensorTransfer(id));
    await program.close();
  });

  test("older protocol: prefetched tensors are taken over, subscriptions bring each version", async () => {
    const store = new MemoryStore();
    store.set(addressOf("a"), patterned(300_000));
    const [near, far] = connectionPair();
    const sent = new Sent();
    const server = new TensorPeer(noted(far, sent), { store, codecs: [], accepted: true });
    const program = new StreamingProtocol(near);
    const [prefetched = ""] = await program.prefetchTensors("m", "p", ["a"]);
    while (program.getTransferState(prefetched).status !== "complete")
      await quiet(() => sent.frames.length);
    const before = sent.chunkDataBytes;
    assert.isTrue(
      sameBytes(await all(program, await program.requestTensor("m", "p", "a")), patterned(300_000)),
    );
    assert.equal(sent.chunkDataBytes, before);
    await program.subscribeTensor("m", "p", "s");
    store.set(addressOf("s"), Uint8Array.of(4, 5));
    for await (const { streamID, tensorID } of program.receiveTensors()) {
      assert.equal(tensorID, "s");
      assert.deepEqual(await all(program, streamID), Uint8Array.of(4, 5));
      break;
    }
    await Promise.all([program.close(), server.close()]);
  });

  test("older protocol: a transfer is cancelled by its stream, or by leaving its loop", async () => {
    const store = new MemoryStore();
    store.set(addressOf("w"), new Uint8Array(8 * LEAF));
    const [here, there] = connectionPair();
    await using _server = new TensorPeer(there, { store, accepted: true });
    await using program = new StreamingProtocol(here);
    const left = await program.requestTensor("m", "p", "w");
    for await (const _ of program.receiveChunks(left)) break;
    assert.equal(program.getTransferState(left).status, "cancelled");
    const cancelled = await program.requestTensor("m", "p", "w");
    await program.cancelTransfer(cancelled, new Error("not needed"));
    assert.equal(program.getTransferState(cancelled).status, "cancelled");
    await assertRejects(() => all(program, cancelled), Error, /not needed/);
    await assertRejects(
      () => program.cancelTransfer("nobody"),
      NotFoundError,
      /no transfer nobody/,
    );
    assert.throws(() => program.getTransferState("nobody"), NotFoundError);
    await program.sendHeartbeat();
  });

  test("older protocol: when the connection has ended, loops end and waiting for a message fails", async () => {
    const [here, there] = connectionPair();
    const one = new StandardProtocol(here);
    const other = new StreamingProtocol(there, { accepted: true });
    const waiting = other.receiveMessage();
    await one.sendTensorSync("m", "p", "w", Uint8Array.of(1));
    assert.deepEqual((await waiting).data, Uint8Array.of(1));
    await one.close();
    await assertRejects(() => other.receiveMessage(), TransportError, /has ended/);
    for await (const _ of other.receiveTensors()) assert.fail("nothing more can come");
    await assertRejects(() => other.sendError(1, 5, "late"), NotFoundError, /No request 1/);
  });
};
