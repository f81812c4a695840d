import { assert } from "chai";
import { FormatError, IntegrityError, NotFoundError, StorageError } from "../../lib/errors.ts";
import type { R2BucketLike } from "../../lib/formats/r2_bucket.ts";
import { R2Store } from "../../lib/formats/r2_store.ts";
import { encodeHeader } from "../../lib/formats/safetensors/encode_header.ts";
import { formatAddress, parsePattern, type TensorAddress } from "../../lib/tensor/address.ts";
import { equalBytes } from "../../lib/tensor/bytes.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { MemoryBucket } from "./memory_bucket.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const WEIGHTS: TensorAddress = { model: "m", partition: "a", tensor: "w" };

/** A file with U8 tensors of these bytes. */
function fileOf(tensors: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const entries = Object.entries(tensors);
  const header = encodeHeader(
    entries.map(([name, { byteLength }]) => ({
      name,
      descriptor: createDescriptor("U8", [byteLength]),
    })),
  );
  const file = new Uint8Array(header.fileBytes);
  file.set(header.raw);
  for (const [index, [, bytes]] of entries.entries()) {
    file.set(bytes, header.tensors[index]?.fileOffset);
  }
  return file;
}

function bucketOf(bytes: Uint8Array): MemoryBucket {
  const bucket = new MemoryBucket();
  bucket.put("m/a.safetensors", fileOf({ w: bytes }));
  return bucket;
}

async function namesIn(store: R2Store, pattern = ""): Promise<string[]> {
  const names: string[] = [];
  for await (const { address } of store.list(parsePattern(pattern))) {
    names.push(formatAddress(address));
  }
  return names;
}

async function bytesAt(store: R2Store, address: TensorAddress): Promise<Uint8Array> {
  const source = await store.open(address);
  const bytes = new Uint8Array(source.descriptor.byteLength);
  await source.read(0, bytes);
  await source.close?.();
  return bytes;
}

export const r2StoreSuite: Suite = ({ test }) => {
  const one = Uint8Array.of(1, 2, 3);

  test("r2: folders and single files are models, with the side files of folders that hold weights", async () => {
    const bucket = new MemoryBucket(2);
    bucket.put("models/org/m/a.safetensors", fileOf({ w: one, v: one }));
    bucket.put("models/org/m/config.json", one);
    bucket.put("models/org/m/picture.png", one);
    bucket.put("models/org/users.json", one);
    bucket.put("models/solo.safetensors", fileOf({ w: one }));
    bucket.put("models/org/m/__files__.safetensors", fileOf({ w: one }));
    bucket.put("elsewhere/n/a.safetensors", fileOf({ w: one }));
    const store = new R2Store(bucket, { prefix: "models/" });
    const all = [
      "org%2Fm/a/__metadata__",
      "org%2Fm/a/v",
      "org%2Fm/a/w",
      "org%2Fm/__files__/config.json",
      "solo/solo/__metadata__",
      "solo/solo/w",
    ];
    assert.sameMembers(await namesIn(store), all);
    assert.deepEqual(await namesIn(store, "so*/*/w"), ["solo/solo/w"]);
    assert.deepEqual(await namesIn(store, "org%2Fm/__files__"), ["org%2Fm/__files__/config.json"]);

    assert.deepEqual(await bytesAt(store, { model: "org/m", partition: "a", tensor: "w" }), one);
    assert.deepEqual(await bytesAt(store, { model: "solo", partition: "solo", tensor: "w" }), one);
    const config = { model: "org/m", partition: "__files__", tensor: "config.json" };
    assert.deepEqual(await bytesAt(store, config), one);
    const raw = await bytesAt(store, { model: "solo", partition: "solo", tensor: "__metadata__" });
    assert.isTrue(sameBytes(raw, fileOf({ w: one }).subarray(0, raw.byteLength)));
  });

  test("r2: what is not listed cannot be opened, by whatever name", async () => {
    const bucket = new MemoryBucket();
    bucket.put("models/org/m/a.safetensors", fileOf({ w: one }));
    bucket.put("models/org/users.json", one);
    bucket.put("models/org/m/deep/notes.json", one);
    bucket.put("models/org/m/picture.png", one);
    bucket.put("secret/n/a.safetensors", fileOf({ w: one }));
    const store = new R2Store(bucket, { prefix: "models/" });
    const addresses: [string, string, string][] = [
      ["org/m", "a", "none"],
      ["org/m", "b", "w"],
      ["org", "m/a", "w"],
      ["org", "__files__", "users.json"],
      ["org/m", "__files__", "deep/notes.json"],
      ["org/m", "__files__", "picture.png"],
      ["../secret/n", "a", "w"],
      ["x".repeat(1000), "y".repeat(1000), "w"],
    ];
    for (const [model, partition, tensor] of addresses) {
      const open = () => store.open({ model, partition, tensor });
      await assertRejects(open, NotFoundError, /Nothing lives at/);
    }
  });

  test("r2: who reads on takes few requests, and nothing comes that nobody asked for", async () => {
    const bytes = patterned(40 * MiB + 77);
    const bucket = bucketOf(bytes);
    const source = await new R2Store(bucket).open(WEIGHTS);
    const [headerGets, headerBytes] = [bucket.gets.length, bucket.pulledBytes];
    const into = new Uint8Array(MiB);
    for (let at = 0; at < bytes.byteLength; at += MiB) {
      const part = into.subarray(0, Math.min(MiB, bytes.byteLength - at));
      await source.read(at, part);
      assert.isTrue(sameBytes(part, bytes.subarray(at, at + part.byteLength)));
      // A byte stream is asked for one view at a time.
      assert.isAtMost(bucket.pulledBytes - headerBytes, at + MiB + 256 * KiB);
      assert.isAtMost(bucket.openBodies, 1);
    }
    assert.deepEqual(
      bucket.gets.slice(headerGets).map(({ length }) => length),
      [MiB, 4 * MiB, 16 * MiB, 19 * MiB + 77],
    );
    await source.close?.();
  });

  test("r2: any places can be read, many at once, and bodies are let go of", async () => {
    const bytes = patterned(3 * MiB);
    const bucket = bucketOf(bytes);
    const source = await new R2Store(bucket).open(WEIGHTS);
    const places = [0, 2 * MiB, MiB, MiB + 100, 5, 2 * MiB + 100, 3 * MiB - 100, 100];
    await Promise.all(
      places.map(async (at) => {
        const into = new Uint8Array(100);
        await source.read(at, into);
        assert.isTrue(sameBytes(into, bytes.subarray(at, at + 100)));
      }),
    );
    await source.close?.();
    assert.equal(bucket.openBodies, 0);
  });

  test("r2: a body that the runtime ended while it waited is asked for again", async () => {
    const bytes = patterned(6 * MiB);
    const bucket = bucketOf(bytes);
    const source = await new R2Store(bucket).open(WEIGHTS);
    const into = new Uint8Array(MiB);
    await source.read(0, into);
    await source.read(MiB, into);
    bucket.stall();
    await source.read(2 * MiB, into);
    assert.isTrue(sameBytes(into, bytes.subarray(2 * MiB, 3 * MiB)));
    await source.close?.();
  });

  test("r2: an object that changes or goes is never read as the one that was opened", async () => {
    const bucket = bucketOf(patterned(4 * MiB));
    const store = new R2Store(bucket);
    const source = await store.open(WEIGHTS);
    const version = await source.version();
    const into = new Uint8Array(KiB);
    await source.read(0, into);
    bucket.put("m/a.safetensors", fileOf({ w: patterned(4 * MiB).reverse() }));
    assert.isFalse(equalBytes(await source.version(), version));
    await assertRejects(() => source.read(MiB, into), IntegrityError, /changed while it was read/);
    bucket.delete("m/a.safetensors");
    assert.isFalse(equalBytes(await source.version(), version));
    await assertRejects(() => source.read(MiB, into), IntegrityError, /removed while it was read/);
    await assertRejects(() => store.open(WEIGHTS), NotFoundError, /Nothing lives at m\/a\/w/);
  });

  test("r2: the same content has the same version again, whoever looks", async () => {
    const bucket = bucketOf(one);
    const versions = await Promise.all(
      [new R2Store(bucket), new R2Store(bucket)].map(async (store) =>
        (await store.open(WEIGHTS)).version(),
      ),
    );
    assert.deepEqual(versions[0], versions[1]);
    assert.isAtMost(versions[0]?.byteLength ?? 99, 32);
  });

  test("r2: a file that is malformed fails by its key, after what the others hold", async () => {
    const bucket = bucketOf(one);
    bucket.put("m/bad.safetensors", new Uint8Array(100).fill(9));
    const store = new R2Store(bucket);
    const names: string[] = [];
    const list = async () => {
      for await (const { address } of store.list(parsePattern(""))) names.push(address.tensor);
    };
    await assertRejects(list, FormatError, /m\/bad\.safetensors/);
    assert.deepEqual(names, ["__metadata__", "w"]);
  });

  test("r2: a bucket that fails is a storage error that may be tried again", async () => {
    const fail = () => Promise.reject(new Error("internal error (10001)"));
    const bucket: R2BucketLike = { head: fail, get: fail, list: fail };
    const store = new R2Store(bucket);
    const error = await assertRejects(() => store.open(WEIGHTS), StorageError, /10001/);
    assert.isTrue(error.retryable);
    await assertRejects(() => namesIn(store), StorageError, /Cannot list .*10001/);
  });
};
