import { assert } from "chai";
import { IntegrityError } from "../../lib/errors.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { collect, patterned, sameBytes } from "../streams/support.ts";
import { concat } from "../wire/vectors.ts";
import { damagedConnection } from "./damaged_connection.ts";
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
