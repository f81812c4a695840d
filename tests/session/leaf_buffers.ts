import { assert } from "chai";
import { BufferPool } from "../../lib/session/buffer_pool.ts";
import { LeafBuffers } from "../../lib/session/leaf_buffers.ts";
import type { TensorSink } from "../../lib/tensor/sink.ts";
import type { Suite } from "../harness.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { LEAF, TestSink } from "./support/tensors.ts";

const BYTES = patterned(LEAF + 1000);
const PLAIN: TensorSink = {
  held: async () => undefined,
  begin: async () => {},
  write: async () => {},
  commit: async () => {},
  release: async () => {},
};

/** Takes a chunk as the link gives it, and says where it is. */
function receive(buffers: LeafBuffers, byteOffset: number, end: number, from = BYTES): Uint8Array {
  const rawBytes = end - byteOffset;
  const head = { byteOffset, rawBytes, encodedBytes: rawBytes, fragmentOffset: 0, checksum: 0 };
  const bytes = buffers.allocate({ ...head, codec: 0 });
  assert.equal(bytes.byteLength, rawBytes);
  bytes.set(from.subarray(byteOffset, end));
  return buffers.place(byteOffset, bytes);
}

export const leafBuffersSuite: Suite = ({ test }) => {
  test("leaf buffers: a leaf of pieces is put together, also anew after a first time was damaged", async () => {
    const memory = new TestSink({
      dtype: "U8",
      shape: [BYTES.byteLength],
      byteLength: BYTES.byteLength,
    });
    await memory.begin(new Uint8Array(), []);
    for (const sink of [PLAIN, memory]) {
      const buffers = new LeafBuffers(() => BYTES.byteLength, sink, new BufferPool(4));
      const damaged = new Uint8Array(LEAF).fill(7);
      buffers.whole(0, [receive(buffers, 0, LEAF, damaged)]);
      const pieces = [
        [0, 10],
        [10, LEAF / 2],
        [LEAF / 2, LEAF],
      ] as const;
      for (let round = 0; round < 2; round++) {
        const parts = pieces.map(([from, end]) => receive(buffers, from, end));
        assert.isTrue(sameBytes(buffers.whole(0, parts), BYTES.subarray(0, LEAF)));
        if (round === 0) buffers.free(0);
      }
      const last = [LEAF, LEAF + 1, BYTES.byteLength] as const;
      const parts = [receive(buffers, last[0], last[1]), receive(buffers, last[1], last[2])];
      assert.isTrue(sameBytes(buffers.whole(1, parts), BYTES.subarray(LEAF)));
    }
  });
};
