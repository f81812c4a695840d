import { assert } from "chai";
import { ByteSource } from "../../lib/session/byte_source.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { collect, patterned, sameBytes } from "../streams/support.ts";
import { concat } from "../wire/vectors.ts";
import { damagedConnection } from "./damaged_connection.ts";

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
};
