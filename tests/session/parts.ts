import { assert } from "chai";
import { IntegrityError, LimitError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { DigestCache } from "../../lib/tensor/digest_cache.ts";
import { leafCount } from "../../lib/tensor/leaf.ts";
import { tensorRoot } from "../../lib/tensor/root.ts";
import type { TensorSource } from "../../lib/tensor/source.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "./support/tensors.ts";
import { peerPair } from "./transfers.ts";

const GiB = 1024 ** 3;
const VERSION = Uint8Array.of(1);

/** A tensor too large to be anywhere: byte `i` follows from where it is, and reads are counted. */
class SparseSource implements TensorSource {
  readonly descriptor = createDescriptor("F32", [(40 * GiB) / 4096, 1024]);
  readBytes = 0;

  async version(): Promise<Uint8Array> {
    return VERSION;
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    this.readBytes += into.byteLength;
    into.set(this.bytes(byteOffset, into.byteLength));
  }

  bytes(byteOffset: number, byteLength: number): Uint8Array {
    return new Uint8Array(byteLength).map((_, n) => {
      const at = byteOffset + n;
      return (Math.floor(at / LEAF) * 7 + at) & 0xff;
    });
  }
}

let known: ReturnType<typeof hashTree> | undefined;

/** As if the whole of it had been hashed before: only the leaves that are asked for are real. */
function knownTree(source: SparseSource): ReturnType<typeof hashTree> {
  known ??= hashTree(source);
  return known;
}

async function hashTree(source: SparseSource): Promise<{ cache: DigestCache; root: Uint8Array }> {
  const cache = new DigestCache();
  const leafTotal = leafCount(source.descriptor.byteLength);
  const digests: Uint8Array[] = [];
  for (let leaf = 0; leaf < leafTotal; leaf++) {
    const digest = new Uint8Array(32);
    new DataView(digest.buffer).setUint32(0, leaf);
    digests.push(leaf < 8 ? await sha256([source.bytes(leaf * LEAF, LEAF)]) : digest);
    cache.set("m/default/w", VERSION, leafTotal, leaf, digests[leaf] as Uint8Array);
  }
  return { cache, root: await tensorRoot(source.descriptor, digests, sha256) };
}

export const partsSuite: Suite = ({ test }) => {
  test("parts: a hundred rows of a 40 GiB tensor move their leaves and a proof, and nothing else", async () => {
    const source = new SparseSource();
    const { cache, root } = await knownTree(source);
    const store = storeOf([WEIGHTS, source]);
    const [client, server] = peerPair({ store, codecs: [], digests: cache });
    const rows = [1000, 1100] as const;
    const transfer = client.requestTensor(WEIGHTS, { rows, into: "memory" });
    const bytes = await transfer.bytes();
    assert.isTrue(sameBytes(bytes, source.bytes(1000 * 4096, 100 * 4096)));
    assert.equal((await transfer.tensor()).length, 100 * 1024);
    assert.equal(transfer.verified, "root");
    assert.deepEqual(transfer.root, root);
    // Rows 1000 to 1099 are bytes 4,096,000 to 4,505,600: leaves 3 and 4.
    assert.equal(source.readBytes, 2 * LEAF);
    assert.isBelow(server.sentBytes, 2 * LEAF + 8 * 1024);
    await client.close();
    await server.close();
  });

  test("parts: where the sender has not hashed everything, digests are all that is verified", async () => {
    const source = new SparseSource();
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]), codecs: [] });
    const transfer = client.requestTensor(WEIGHTS, { rows: [0, 1], into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), source.bytes(0, 4096)));
    assert.equal(transfer.verified, "digests");
    assert.isUndefined(transfer.root);
    assert.equal(source.readBytes, LEAF);
    const root = new Uint8Array(32);
    const wanted = client.requestTensor(WEIGHTS, { rows: [0, 1], into: "memory", root });
    await assertRejects(() => wanted.done, IntegrityError, /cannot prove yet/);
    await client.close();
    await server.close();
  });

  test("parts: a root that is known from elsewhere is the one that counts", async () => {
    const source = new SparseSource();
    const { cache, root } = await knownTree(source);
    const store = storeOf([WEIGHTS, source]);
    const [client, server] = peerPair({ store, codecs: [], digests: cache });
    const bytes = [LEAF - 1, LEAF + 1] as const;
    const good = client.requestTensor(WEIGHTS, { bytes, into: "memory", root });
    assert.equal((await good.bytes()).byteLength, 2);
    assert.equal(good.verified, "root");
    const other = root.slice();
    other[0] = (other[0] ?? 0) ^ 1;
    const bad = client.requestTensor(WEIGHTS, { bytes, into: "memory", root: other });
    await assertRejects(() => bad.done, IntegrityError, /does not lead to the tensor's root/);
    await client.close();
    await server.close();
  });

  test("parts: bytes come as a stream, cut to the byte, and resume like any transfer", async () => {
    const source = new TestSource(patterned(5 * LEAF + 100));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    for (const [from, end] of [
      [0, 1],
      [LEAF - 3, 2 * LEAF + 5],
      [5 * LEAF, 5 * LEAF + 100],
      [0, 5 * LEAF + 100],
    ] as const) {
      const transfer = client.requestTensor(WEIGHTS, { bytes: [from, end] });
      const parts: Uint8Array[] = [];
      const reader = transfer.readable.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        parts.push(next.value);
      }
      await transfer.done;
      const whole = new Uint8Array(
        await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer(),
      );
      assert.isTrue(sameBytes(whole, source.bytes.subarray(from, end)), `${from} to ${end}`);
    }
    await client.close();
    await server.close();
  });

  test("parts: a part that the tensor does not have is refused by the sender, and typed", async () => {
    const source = new TestSource(patterned(2 * LEAF));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    for (const part of [
      { bytes: [0, 2 * LEAF + 1] },
      { rows: [2 * LEAF, 2 * LEAF + 1] },
    ] as const) {
      const transfer = client.requestTensor(WEIGHTS, { ...part, into: "memory" });
      await assertRejects(() => transfer.done, LimitError, /the tensor has 2097152/);
    }
    await client.close();
    await server.close();
  });
};
