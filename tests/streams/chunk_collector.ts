import { assert } from "chai";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { ChunkCollector } from "../../lib/streams/chunk_collector.ts";
import type { TensorChunk } from "../../lib/tensor/chunk.ts";
import type { ChunkHead } from "../../lib/wire/chunk_head.ts";
import type { Suite } from "../harness.ts";
import { patterned } from "./support.ts";

const content = patterned(1000);
const head: ChunkHead = {
  byteOffset: 5000,
  rawBytes: 1000,
  encodedBytes: 1000,
  fragmentOffset: 0,
  checksum: 7,
  codec: 0,
};

export const chunkCollectorSuite: Suite = ({ test }) => {
  test("chunk collector: fragments in any slicing become one chunk in one buffer", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(lengths, lengths, (fragments, slices) => {
        const allocated: ChunkHead[] = [];
        const collector = new ChunkCollector(["deflate"], (first) => {
          allocated.push(first);
          return new Uint8Array(first.encodedBytes);
        });
        let chunk: TensorChunk | undefined;
        for (let at = 0, n = 0, m = 0; at < 1000; n++) {
          const end = Math.min(1000, at + (fragments[n % fragments.length] as number));
          collector.begin({ ...head, fragmentOffset: at }, end - at);
          while (at < end) {
            const part = content.subarray(
              at,
              Math.min(end, at + (slices[m++ % slices.length] as number)),
            );
            assert.isUndefined(chunk);
            chunk = collector.data(part);
            at += part.byteLength;
            assert.equal(collector.isOpen, at < 1000);
          }
        }
        assert.deepEqual(chunk, {
          byteOffset: 5000,
          rawBytes: 1000,
          bytes: content,
          codec: "none",
          checksum: 7,
        });
        assert.equal(allocated.length, 1);
      }),
      { numRuns: 50 },
    );
  });

  test("chunk collector: codecs are named as the offer names them", () => {
    const collector = new ChunkCollector(["zstd", "deflate"]);
    collector.begin({ ...head, codec: 2, encodedBytes: 10 }, 10);
    assert.deepInclude(collector.data(content.subarray(0, 10)), {
      codec: "deflate",
      rawBytes: 1000,
    });
    assert.throws(() => collector.begin({ ...head, codec: 3 }, 10), ProtocolError, /codec 3 of 2/);
  });

  test("chunk collector: a fragment that is not the next takes no memory", () => {
    let allocations = 0;
    const collector = new ChunkCollector(["deflate"], (first) => {
      allocations++;
      return new Uint8Array(first.encodedBytes);
    });
    assert.throws(
      () => collector.begin({ ...head, fragmentOffset: 1 }, 10),
      ProtocolError,
      /byte 0/,
    );
    assert.equal(allocations, 0);
    collector.begin(head, 10);
    collector.data(content.subarray(0, 10));
    const second = { ...head, fragmentOffset: 10 };
    const wrong: Partial<ChunkHead>[] = [
      { fragmentOffset: 0 },
      { fragmentOffset: 11 },
      { byteOffset: 5001 },
      { rawBytes: 1001 },
      { encodedBytes: 1001 },
      { checksum: 8 },
      { codec: 1 },
    ];
    for (const change of wrong) {
      const begin = () => collector.begin({ ...second, ...change }, 10);
      assert.throws(begin, ProtocolError, /was next/, JSON.stringify(change));
    }
    collector.begin(second, 10);
    assert.equal(allocations, 1);
  });

  test("chunk collector: data outside a fragment is refused", () => {
    const collector = new ChunkCollector([]);
    assert.throws(() => collector.data(content), ProtocolError, /outside a fragment/);
    collector.begin(head, 10);
    assert.throws(() => collector.data(content.subarray(0, 11)), ProtocolError, /outside/);
  });
};
