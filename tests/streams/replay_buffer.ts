import { assert } from "chai";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { ChecksumStream } from "../../lib/streams/checksum_stream.ts";
import { ChunkerStream } from "../../lib/streams/chunker_stream.ts";
import { FrameEncoderStream } from "../../lib/streams/frame_encoder_stream.ts";
import { retryingWriter } from "../../lib/streams/retrying_writer.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { damagedConnection } from "../session/damaged_connection.ts";
import { transferAddress } from "../wire/vectors.ts";
import { countedSource, patterned, sameBytes } from "./support.ts";

const content = patterned(8 * LEAF_BYTES + 777);

export const replayBufferSuite: Suite = ({ test }) => {
  // Chunks of parts of leaves, of leaves, and of several leaves, each of many fragments.
  for (const chunkBytes of [100_000, LEAF_BYTES, 2.5 * LEAF_BYTES]) {
    test(`replay: damaged leaves are sent again between chunks of ${chunkBytes} bytes, on one connection`, async () => {
      for (const places of [[1.5], [2.5, 2.6], [0.3, 4.2, 4.9, 7.1]]) {
        const descriptor = createDescriptor("U8", [content.byteLength]);
        const sink = new MemorySink(descriptor);
        const [near, far] = connectionPair();
        const bytes = places.map((place) => Math.floor(place * LEAF_BYTES));
        const peer = new TensorPeer(damagedConnection(far, bytes), {
          accepted: true,
          limits: { transferWindowBytes: 4 * LEAF_BYTES },
          sinks: { accept: async () => sink },
        });
        let dials = 0;
        const connect = async () => {
          dials++;
          return near;
        };
        await countedSource([content])
          .stream.pipeThrough(new ChunkerStream({ chunkBytes }))
          .pipeThrough(new ChecksumStream({ byteLength: content.byteLength }))
          .pipeThrough(
            new FrameEncoderStream({ address: transferAddress, descriptor, fragmentBytes: 30_000 }),
          )
          .pipeTo(retryingWriter(connect, {}, { maxBufferedBytes: 5 * LEAF_BYTES }));
        assert.isTrue(sameBytes(sink.bytes, content));
        assert.equal(dials, 1);
        await peer.close();
      }
    });
  }
};
