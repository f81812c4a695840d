import { assert } from "chai";
import { ProtocolError } from "../../lib/errors.ts";
import { AssemblerStream } from "../../lib/streams/assembler_stream.ts";
import type { TensorChunk } from "../../lib/tensor/chunk.ts";
import { costExponent, countWork, totalWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { concat } from "../wire/vectors.ts";
import { collect, countedSource, patterned, turns } from "./support.ts";

function chunksOf(bytes: Uint8Array, chunkBytes: number, byteOffset = 0): TensorChunk[] {
  const chunks: TensorChunk[] = [];
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
    const part = bytes.subarray(at, at + chunkBytes);
    const rawBytes = part.byteLength;
    chunks.push({ byteOffset: byteOffset + at, rawBytes, bytes: part, codec: "none" });
  }
  return chunks;
}

const assemble = (chunks: Iterable<TensorChunk>, byteOffset?: number) =>
  collect(
    countedSource(chunks).stream.pipeThrough(
      new AssemblerStream(byteOffset === undefined ? {} : { byteOffset }),
    ),
  );

export const assemblerStreamSuite: Suite = ({ test }) => {
  const content = patterned(100_000);

  test("assembler: gives the bytes in order, the chunks' own views", async () => {
    const chunks = chunksOf(content, 3000);
    const parts = await assemble(chunks);
    assert.deepEqual(concat(parts), content);
    for (const [n, part] of parts.entries()) assert.equal(part, chunks[n]?.bytes);
    assert.deepEqual(await assemble([]), []);
    const late = chunksOf(content, 3000, 2 ** 33);
    assert.deepEqual(concat(await assemble(late, 2 ** 33)), content);
  });

  test("assembler: a gap, a chunk twice and chunks out of order are refused", async () => {
    const [a, b, c, d] = chunksOf(content, 3000) as [
      TensorChunk,
      TensorChunk,
      TensorChunk,
      TensorChunk,
    ];
    for (const [chunks, next] of [
      [[b], 0],
      [[a, c], 3000],
      [[a, b, b], 6000],
      [[a, b, d, c], 6000],
    ] as const) {
      await assertRejects(
        () => assemble(chunks),
        ProtocolError,
        new RegExp(`byte ${next} was next`),
      );
    }
  });

  test("assembler: takes raw chunks only", async () => {
    const [chunk] = chunksOf(content, 3000) as [TensorChunk];
    await assertRejects(
      () => assemble([{ ...chunk, codec: "deflate" }]),
      TypeError,
      /still deflate/,
    );
  });

  test("assembler: takes no more than is read", async () => {
    const { stream, pulls } = countedSource(chunksOf(content, 100));
    const reader = stream.pipeThrough(new AssemblerStream()).getReader();
    for (let n = 0; n < 10; n++) await reader.read();
    await turns(200);
    assert.isAtMost(pulls(), 13);
    await reader.cancel();
  });

  test("assembler: copies nothing, at any number of chunks", async () => {
    const cost = async (chunkBytes: number) => {
      const chunks = chunksOf(content, chunkBytes);
      // One is added so that a cost of nothing has a logarithm.
      return 1 + totalWork(await countWork(async () => void (await assemble(chunks))));
    };
    assert.equal(await cost(100), 1);
    assert.isBelow(await costExponent((n) => cost(Math.ceil(1e5 / n)), [10, 100, 1000]), 1.15);
  });
};
