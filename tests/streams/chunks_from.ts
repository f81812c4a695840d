import { assert } from "chai";
import { chunksFrom } from "../../lib/streams/chunks_from.ts";
import { chunkEnd } from "../../lib/tensor/chunk.ts";
import type { Suite } from "../harness.ts";
import { collect, countedSource, patterned, sameBytes } from "./support.ts";

const MiB = 1024 * 1024;

/** A byte stream that fills at most `pieceBytes` of the buffer it is asked to fill. */
function byteStream(content: Uint8Array, pieceBytes: number) {
  const seen = { cancelled: undefined as unknown, largestView: 0 };
  let at = 0;
  const stream = new ReadableStream({
    type: "bytes",
    pull(controller) {
      const request = controller.byobRequest;
      const view = request?.view as Uint8Array | undefined;
      if (!request || !view) throw new Error("A buffer of the reader's own was expected");
      const filled = Math.min(view.byteLength, pieceBytes, content.byteLength - at);
      if (filled === 0) {
        controller.close();
        request.respond(0);
        return;
      }
      seen.largestView = Math.max(seen.largestView, view.byteLength);
      new Uint8Array(view.buffer, view.byteOffset, filled).set(content.subarray(at, at + filled));
      at += filled;
      request.respond(filled);
    },
    cancel(reason) {
      seen.cancelled = reason;
    },
  });
  return { stream: stream as ReadableStream<Uint8Array>, seen };
}

export const chunksFromSuite: Suite = ({ test }) => {
  const content = patterned(2 * MiB + 777);

  test("chunks from: byte streams and others give the same chunks", async () => {
    for (const chunkBytes of [1024, 700 * 1024, MiB, 1.5 * MiB, 64 * MiB]) {
      for (const pieceBytes of [10_000, 8 * MiB]) {
        const plain = countedSource([content.subarray(0, 5), content.subarray(5)]).stream;
        for (const source of [byteStream(content, pieceBytes).stream, plain]) {
          let at = 0;
          for (const chunk of await collect(chunksFrom(source, { chunkBytes }))) {
            assert.equal(chunk.byteOffset, at);
            at += chunk.rawBytes;
            assert.equal(at, Math.min(chunkEnd(chunk.byteOffset, chunkBytes), content.byteLength));
            assert.isTrue(sameBytes(chunk.bytes, content.subarray(chunk.byteOffset, at)));
          }
          assert.equal(at, content.byteLength);
        }
      }
    }
  });

  test("chunks from: a byte stream writes into the chunk's own buffer", async () => {
    const { stream, seen } = byteStream(content, 8 * MiB);
    const [first] = await collect(chunksFrom(stream));
    assert.equal(seen.largestView, MiB);
    assert.equal(first?.bytes.byteOffset, 0);
    assert.equal(first?.bytes.buffer.byteLength, MiB);
  });

  test("chunks from: an empty tensor has no chunks", async () => {
    assert.deepEqual(await collect(chunksFrom(byteStream(new Uint8Array(), MiB).stream)), []);
    assert.deepEqual(await collect(chunksFrom(countedSource<Uint8Array>([]).stream)), []);
  });

  test("chunks from: a length that is a whole number of chunks ends without an empty one", async () => {
    const { stream } = byteStream(content.subarray(0, 2 * MiB), 300_000);
    const chunks = await collect(chunksFrom(stream));
    assert.deepEqual(
      chunks.map(({ byteOffset, rawBytes }) => [byteOffset, rawBytes]),
      [
        [0, MiB],
        [MiB, MiB],
      ],
    );
  });

  test("chunks from: a cancel reaches the source, and a failure the reader", async () => {
    const { stream, seen } = byteStream(content, 1000);
    const reader = chunksFrom(stream).getReader();
    await reader.read();
    await reader.cancel("enough");
    assert.equal(seen.cancelled, "enough");

    const broken = new ReadableStream({
      type: "bytes",
      pull: () => Promise.reject(new Error("disk gone")),
    }) as ReadableStream<Uint8Array>;
    const failure = await collect(chunksFrom(broken)).catch((reason: unknown) => reason);
    assert.equal((failure as Error).message, "disk gone");
  });

  test("chunks from: refuses a locked source and a size out of range at once", () => {
    const { stream } = byteStream(content, 1000);
    assert.throws(() => chunksFrom(stream, { chunkBytes: 5 }), RangeError);
    assert.isFalse(stream.locked);
    stream.getReader();
    assert.throws(() => chunksFrom(stream), TypeError, /locked/);
  });
};
