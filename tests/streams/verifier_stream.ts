import { assert } from "chai";
import { IntegrityError, ProtocolError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { VerifierStream } from "../../lib/streams/verifier_stream.ts";
import type { LeafDigest, TensorChunk } from "../../lib/tensor/chunk.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { tensorRoot } from "../../lib/tensor/root.ts";
import type { Complete, DigestMode, Offer } from "../../lib/wire/messages.ts";
import { xxh32 } from "../../lib/wire/xxh32.ts";
import { costExponent, countWork, totalWork } from "../complexity.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { transferAddress } from "../wire/vectors.ts";
import { collect, countedSource, patterned, sameBytes, turns } from "./support.ts";

const content = patterned(3 * LEAF_BYTES + 700);
const version = Uint8Array.of(1);

async function digestsOf(bytes: Uint8Array): Promise<LeafDigest[]> {
  const digests: LeafDigest[] = [];
  for (let index = 0; index * LEAF_BYTES < bytes.byteLength; index++) {
    const leaf = bytes.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES);
    digests.push({ index, digest: await sha256([leaf]) });
  }
  return digests;
}

/** Chunks that begin anew at each leaf, with their sums and the digests of the leaves they end. */
async function chunksOf(bytes: Uint8Array, chunkBytes: number): Promise<TensorChunk[]> {
  const digests = await digestsOf(bytes);
  const chunks: TensorChunk[] = [];
  for (let at = 0; at < bytes.byteLength; at += chunks.at(-1)?.rawBytes ?? 0) {
    const leafEnd = at - (at % LEAF_BYTES) + Math.max(chunkBytes, LEAF_BYTES);
    const end = Math.min(at + chunkBytes, leafEnd, bytes.byteLength);
    const part = bytes.subarray(at, end);
    const leafDigests = digests.filter(({ index }) => {
      const leafLast = Math.min((index + 1) * LEAF_BYTES, bytes.byteLength) - 1;
      return at <= leafLast && leafLast < end;
    });
    const rawBytes = part.byteLength;
    chunks.push({
      byteOffset: at,
      rawBytes,
      bytes: part,
      codec: "none",
      checksum: xxh32(part),
      leafDigests,
    });
  }
  return chunks;
}

async function stage(
  change: Partial<Complete> = {},
  digest: DigestMode = "sha256",
  bytes = content,
) {
  const descriptor = createDescriptor("U8", [bytes.byteLength]);
  const digests = (await digestsOf(bytes)).map((leaf) => leaf.digest);
  const offer: Offer = {
    id: new Uint8Array(16),
    epoch: 0,
    address: transferAddress,
    descriptor,
    version,
    priority: 50,
    digest,
    codecs: [],
    chunkBytes: LEAF_BYTES,
  };
  const root = digest === "none" ? undefined : await tensorRoot(descriptor, digests, sha256);
  const complete: Complete = { byteLength: bytes.byteLength, version, root, chunks: 1, ...change };
  return new VerifierStream({ offer: Promise.resolve(offer), complete: Promise.resolve(complete) });
}

async function verify(chunks: TensorChunk[], ...options: Parameters<typeof stage>) {
  return collect(countedSource(chunks).stream.pipeThrough(await stage(...options)));
}

/** The chunk with one bit turned; `seal` makes its checksum fit. */
function bent(chunk: TensorChunk, seal: boolean): TensorChunk {
  const bytes = chunk.bytes.slice();
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
  return { ...chunk, bytes, ...(seal && { checksum: xxh32(bytes) }) };
}

export const verifierStreamSuite: Suite = ({ test }) => {
  test("verifier: lets every chunk of a true tensor pass as it came", async () => {
    for (const chunkBytes of [300_000, LEAF_BYTES, 2 * LEAF_BYTES]) {
      const chunks = await chunksOf(content, chunkBytes);
      assert.deepEqual(await verify(chunks), chunks);
      assert.deepEqual(await verify(chunks, {}, "none"), chunks);
    }
    assert.deepEqual(await verify([], {}, "sha256", new Uint8Array()), []);
  });

  test("verifier: a turned bit names its chunk, or its leaf when the checksum was made to fit", async () => {
    const chunks = await chunksOf(content, 300_000);
    for (const [n, chunk] of chunks.entries()) {
      for (const seal of [false, true]) {
        const damaged = chunks.with(n, bent(chunk, seal));
        const what = seal ? /Leaf \d does not match its digest/ : /does not match its checksum/;
        const error = await assertRejects(() => verify(damaged), IntegrityError, what);
        const leafStart = chunk.byteOffset - (chunk.byteOffset % LEAF_BYTES);
        assert.equal(error.byteOffset, seal ? leafStart : chunk.byteOffset);
        assert.equal(error.where, "transit");
        assert.isTrue(error.retryable);
      }
    }
  });

  test("verifier: no chunk of a leaf comes out before the leaf is verified", async () => {
    const chunks = await chunksOf(content, 300_000);
    const damaged = chunks.with(7, bent(chunks[7] as TensorChunk, true));
    const reader = countedSource(damaged)
      .stream.pipeThrough(await stage())
      .getReader();
    const passed: TensorChunk[] = [];
    await assertRejects(
      async () => {
        for (;;) passed.push((await reader.read()).value as TensorChunk);
      },
      IntegrityError,
      /Leaf 1/,
    );
    assert.deepEqual(passed, chunks.slice(0, 4));
  });

  test("verifier: a leaf without digest, a short tensor, another root or version never end well", async () => {
    const chunks = await chunksOf(content, LEAF_BYTES);
    const bare = chunks.with(1, { ...(chunks[1] as TensorChunk), leafDigests: [] });
    await assertRejects(() => verify(bare), IntegrityError, /Leaf 1/);
    await assertRejects(() => verify(chunks.slice(0, 3)), IntegrityError, /ended after 3145728/);
    const none = ["none"] as const;
    await assertRejects(() => verify(chunks.slice(1), {}, ...none), IntegrityError, /ended after/);
    for (const root of [undefined, new Uint8Array(32)]) {
      const error = await assertRejects(() => verify(chunks, { root }), IntegrityError, /root/);
      assert.equal(error.where, "source");
    }
    const other = { version: Uint8Array.of(2) };
    await assertRejects(() => verify(chunks, other), IntegrityError, /changed while it was sent/);
    await assertRejects(() => verify(chunks, other, ...none), IntegrityError, /changed while/);
  });

  test("verifier: a leaf that comes twice and chunks outside the tensor are refused", async () => {
    const chunks = await chunksOf(content, LEAF_BYTES);
    const twice = [chunks[0], ...chunks] as TensorChunk[];
    await assertRejects(() => verify(twice), ProtocolError, /came twice/);
    const outside = chunks.with(3, { ...(chunks[0] as TensorChunk), byteOffset: 3 * LEAF_BYTES });
    await assertRejects(() => verify(outside), ProtocolError, /of a tensor of/);
  });

  test("verifier: holds no more than a leaf and a chunk, whatever comes", async () => {
    const parts = await chunksOf(content, 100_000);
    const begun = (leaf: number) => parts.find((chunk) => chunk.byteOffset === leaf * LEAF_BYTES);
    const jumping = [begun(0), begun(1), begun(2)] as TensorChunk[];
    await assertRejects(() => verify(jumping), ProtocolError, /inside a leaf/);
    // Chunks that never end with a leaf: those before the open leaf must go on nevertheless.
    const odd: TensorChunk[] = [];
    const digests = await digestsOf(content);
    for (let at = 0; at < content.byteLength; at += 700_000) {
      const bytes = content.subarray(at, at + 700_000);
      odd.push({
        byteOffset: at,
        rawBytes: bytes.length,
        bytes,
        codec: "none",
        checksum: xxh32(bytes),
        leafDigests: digests,
      });
    }
    const reader = countedSource(odd)
      .stream.pipeThrough(await stage())
      .getReader();
    const first = await reader.read();
    assert.equal(first.value, odd[0]);
    await reader.cancel();
    assert.deepEqual(await verify(odd), odd);
  });

  test("verifier: takes raw chunks only", async () => {
    const [chunk] = (await chunksOf(content, LEAF_BYTES)) as [TensorChunk];
    const packed = { ...chunk, codec: "deflate" };
    await assertRejects(() => verify([packed]), TypeError, /DecompressorStream/);
  });

  test("verifier: takes no more than is read", async () => {
    const chunks = await chunksOf(content, 100_000);
    const { stream, pulls } = countedSource(chunks);
    const reader = stream.pipeThrough(await stage()).getReader();
    await reader.read();
    await turns(200);
    // The first leaf's eleven chunks, and what the stream's own queues hold.
    assert.isAtMost(pulls(), 11 + 3);
    await reader.cancel();
  });

  test("verifier: cost is linear in bytes and in chunks, and no byte is copied", async () => {
    // The tree over n leaves has 2n - 1 nodes: few leaves would look like more than linear.
    const long = patterned(16 * LEAF_BYTES);
    const cost = async (byteLength: number, chunkBytes: number) => {
      const bytes = long.subarray(0, byteLength);
      const chunks = await chunksOf(bytes, chunkBytes);
      const verifier = await stage({}, "sha256", bytes);
      const work = await countWork(async () => {
        const out = await collect(countedSource(chunks).stream.pipeThrough(verifier));
        assert.isTrue(sameBytes((out[0] as TensorChunk).bytes, (chunks[0] as TensorChunk).bytes));
      });
      return totalWork(work);
    };
    const inBytes = await costExponent((n) => cost(n * LEAF_BYTES, 4096), [4, 8, 16]);
    assert.isBelow(inBytes, 1.15, "bytes");
    const inChunks = await costExponent(
      (n) => cost(LEAF_BYTES, Math.ceil(LEAF_BYTES / n)),
      [16, 64, 256, 1024],
    );
    assert.isBelow(inChunks, 1.15, "chunks");
  });
};
