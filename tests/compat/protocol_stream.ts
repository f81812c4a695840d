import { assert } from "chai";
import { ProtocolStream } from "../../lib/compat/protocol_stream.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { WEIGHTS } from "../session/support/tensors.ts";
import { peerPair } from "../session/transfers.ts";
import { patterned } from "../streams/support.ts";

const CHUNK = 1000;

export const protocolStreamSuite: Suite = ({ test }) => {
  test("protocol stream: of one that is complete nothing is kept but its state", async () => {
    const [client, server] = peerPair({ sinks: new MemoryStore() });
    let begun = 0;
    const again = () => {
      begun++;
      return client.streamTensor(WEIGHTS, patterned(5000));
    };
    const transfer = client.streamTensor(WEIGHTS, patterned(5000));
    const stream = new ProtocolStream(transfer, { chunkBytes: CHUNK, again });
    assert.equal(stream.transfer, transfer);
    await transfer.done;
    assert.isUndefined(stream.transfer);
    assert.isTrue(stream.isSpent);
    assert.isFalse(stream.resume());
    assert.equal(begun, 0);
    const { streamID, status, totalSize, totalChunks, bytesTransferred } = stream.state;
    assert.deepEqual(
      { streamID, status, totalSize, totalChunks, bytesTransferred },
      {
        streamID: transfer.id,
        status: "complete",
        totalSize: 5000,
        totalChunks: 5,
        bytesTransferred: 5000,
      },
    );
    await client.close();
    await server.close();
  });

  test("protocol stream: one that failed begins again, under its first id", async () => {
    const sinks = new MemoryStore();
    const [client, server] = peerPair({ sinks });
    const begin = () => client.streamTensor(WEIGHTS, patterned(5000));
    const first = begin();
    const stream = new ProtocolStream(first, { chunkBytes: CHUNK, again: begin });
    stream.cancel(new Error("later"));
    await assertRejects(() => first.done, Error, /later/);
    assert.equal(stream.state.status, "cancelled");
    assert.isTrue(stream.resume());
    const second = stream.transfer;
    assert.notEqual(second, first);
    await second?.done;
    assert.equal(stream.state.status, "complete");
    assert.equal(stream.state.streamID, first.id);
    assert.isDefined(sinks.get(WEIGHTS));
    await client.close();
    await server.close();
  });
};
