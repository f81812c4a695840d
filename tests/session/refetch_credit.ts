import { assert } from "chai";
import { IntegrityError } from "../../lib/errors.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { encodeChecked } from "../../lib/wire/control.ts";
import { FLAG_AGAIN, FRAME } from "../../lib/wire/frame_header.ts";
import { encodeNumber, encodeRanges } from "../../lib/wire/pages.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { collect, patterned, sameBytes } from "../streams/support.ts";
import { concat } from "../wire/vectors.ts";
import { damagedConnection } from "./damaged_connection.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { LEAF, storeOf, TestSource, tensorBytes, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

const ADDRESS = { model: "m", partition: "default", tensor: "t" };

export const refetchCreditSuite: Suite = ({ test }) => {
  test("session: a leaf asked for again does not wait for the credit that waits for it", async () => {
    const content = patterned(12 * LEAF_BYTES);
    const source = () => new ByteSource(content, { dtype: "U8", shape: [content.byteLength] });
    const [near, far] = connectionPair();
    const store = { async *list() {}, open: async () => source() };
    // A window much smaller than what is left of the tensor behind the damage.
    const limits = { transferWindowBytes: 2 * LEAF_BYTES };
    const server = new TensorPeer(far, { store, accepted: true, codecs: [] });
    const client = new TensorPeer(damagedConnection(near, [2.5 * LEAF_BYTES]), {
      limits,
      codecs: [],
    });
    const transfer = client.requestTensor(ADDRESS);
    const received = concat(await collect(transfer.readable));
    await transfer.done;
    assert.isTrue(sameBytes(received, content));
    assert.isAbove(client.receivedBytes, content.byteLength + LEAF_BYTES, "a leaf came twice");
    await Promise.all([client.close(), server.close()]);
  });

  test("session: leaves asked for again come although they hold all credit of the connection", async () => {
    const content = patterned(12 * LEAF_BYTES);
    const small = patterned(3 * LEAF_BYTES);
    const sources = [content, small].map(
      (bytes) => new ByteSource(bytes, { dtype: "U8", shape: [bytes.byteLength] }),
    );
    const other = { ...ADDRESS, tensor: "u" };
    const store = {
      async *list() {},
      open: async ({ tensor }: TensorAddress) => sources[tensor === "t" ? 0 : 1] as ByteSource,
    };
    const [near, far] = connectionPair();
    const limits = { connectionWindowBytes: 4 * LEAF_BYTES };
    const server = new TensorPeer(far, { store, accepted: true, codecs: [] });
    // All that the connection's window holds comes damaged.
    const places = [0.5, 1.5, 2.5, 3.5].map((place) => place * LEAF_BYTES);
    const client = new TensorPeer(damagedConnection(near, places), { limits, codecs: [] });
    const transfer = client.requestTensor(ADDRESS, { into: "memory", priority: 100 });
    const second = client.requestTensor(other, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), content));
    assert.isTrue(sameBytes(await second.bytes(), small));
    const atLeast = content.byteLength + small.byteLength + 4 * LEAF_BYTES;
    assert.isAbove(client.receivedBytes, atLeast, "four leaves came twice");
    await Promise.all([client.close(), server.close()]);
  });

  test("session: a paused sender answers what is asked for again all the same", async () => {
    const content = patterned(4 * LEAF_BYTES);
    const source = () => new ByteSource(content, { dtype: "U8", shape: [content.byteLength] });
    const [near, far] = connectionPair();
    const store = { async *list() {}, open: async () => source() };
    const server = new TensorPeer(far, { store, accepted: true, codecs: [] });
    const raw = new RawPeer(near);
    raw.answersPings = true;
    await raw.greet();
    const id = new Uint8Array(16);
    await raw.message("request", 1, {
      id,
      epoch: 0,
      address: ADDRESS,
      priority: 50,
      digest: "sha256",
    });
    await raw.nextMessage("offer");
    await raw.message("accept", 1, { limit: 2 * LEAF_BYTES });
    await raw.chunks(2 * LEAF_BYTES);
    await raw.message("pause", 1, { paused: true });
    // It may send what is new, and does not.
    await raw.send(encodeChecked(FRAME.credit, 1, encodeNumber(4 * LEAF_BYTES)));
    const ranges = encodeRanges([{ first: 1, count: 1 }]);
    await raw.send(encodeChecked(FRAME.refetch, 1, ranges));
    for (let isAgain = false; !isAgain; ) {
      const { header } = await raw.next(FRAME.chunk);
      isAgain = header.flags === FLAG_AGAIN;
    }
    await raw.chunks(3 * LEAF_BYTES);
    await raw.message("pause", 1, { paused: false });
    await raw.chunks(5 * LEAF_BYTES);
    raw.close();
    await server.close();
  });

  test("session: a source that changes after it was hashed is an error at source, not damage", async () => {
    const source = new TestSource(tensorBytes(12 * LEAF));
    const limits = { transferWindowBytes: 2 * LEAF };
    const [client, server] = peerPair(
      { store: storeOf([WEIGHTS, source]), codecs: [] },
      { limits },
    );
    assert.isTrue(
      sameBytes(await client.requestTensor(WEIGHTS, { into: "memory" }).bytes(), source.bytes),
    );
    // The digests are remembered now; from here on other bytes are read.
    source.onRead = (byteOffset) => {
      if (byteOffset < 2 * LEAF || source.versionNumber === 2) return;
      source.versionNumber = 2;
      source.bytes = source.bytes.map((byte) => byte ^ 1);
    };
    const again = client.requestTensor(WEIGHTS, { into: "memory" });
    const error = await assertRejects(
      () => again.done,
      IntegrityError,
      /changed while it was sent/,
    );
    assert.equal(error.where, "source");
    await Promise.all([client.close(), server.close()]);
  });
};
