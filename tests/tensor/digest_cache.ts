import { assert } from "chai";
import { DigestCache } from "../../lib/tensor/digest_cache.ts";
import type { Suite } from "../harness.ts";
import { countedDigests } from "./digests.ts";

const V1 = Uint8Array.of(1, 1);
const V2 = Uint8Array.of(1, 2);

async function fill(cache: DigestCache, key: string, version: Uint8Array, leafTotal: number) {
  for (const [index, digest] of (await countedDigests(leafTotal)).entries()) {
    cache.set(key, version, leafTotal, index, digest);
  }
}

export const digestCacheSuite: Suite = ({ test }) => {
  test("digest cache: some leaves are known one by one, all of them only when none is missing", async () => {
    const cache = new DigestCache();
    const digests = await countedDigests(3);
    for (const index of [2, 0]) {
      cache.set("a", V1, 3, index, digests[index] as Uint8Array);
      assert.deepEqual(cache.get("a", V1, index), digests[index]);
    }
    assert.isUndefined(cache.get("a", V1, 1));
    assert.isUndefined(cache.get("a", V1, 3));
    assert.isUndefined(cache.get("b", V1, 0));
    assert.isUndefined(cache.all("a", V1, 3));
    cache.set("a", V1, 3, 1, digests[1] as Uint8Array);
    assert.deepEqual(cache.all("a", V1, 3), digests);
    assert.isUndefined(cache.all("a", V1, 2));
    assert.deepEqual(cache.all("never seen", V1, 0), []);
  });

  test("digest cache: another version drops the old one, asking for one drops nothing", async () => {
    const cache = new DigestCache();
    await fill(cache, "a", V1, 2);
    assert.isUndefined(cache.get("a", V2, 0));
    assert.isUndefined(cache.all("a", V2, 2));
    assert.lengthOf(cache.all("a", V1, 2) ?? [], 2);
    cache.set("a", V2, 2, 1, new Uint8Array(32));
    assert.isUndefined(cache.get("a", V1, 0));
    assert.isUndefined(cache.get("a", V2, 0), "nothing of the old version may shine through");
    assert.equal(cache.reservedDigests, 2);
  });

  test("digest cache: a version is compared by its bytes as they were", async () => {
    const cache = new DigestCache();
    const version = V1.slice();
    await fill(cache, "a", version, 1);
    version[0] = 9;
    assert.isDefined(cache.get("a", V1, 0));
    assert.isUndefined(cache.get("a", version, 0));
    assert.isUndefined(cache.get("a", V1.subarray(0, 1), 0));
  });

  test("digest cache: room is bounded by digests; what was used last stays", async () => {
    const cache = new DigestCache(10);
    await fill(cache, "a", V1, 4);
    await fill(cache, "b", V1, 4);
    assert.isDefined(cache.get("a", V1, 0));
    await fill(cache, "c", V1, 4);
    assert.isUndefined(cache.get("b", V1, 0));
    assert.deepEqual(cache.all("a", V1, 4), await countedDigests(4));
    assert.deepEqual(cache.all("c", V1, 4), await countedDigests(4));
    assert.equal(cache.reservedDigests, 8);

    await fill(cache, "d", V1, 10);
    assert.isUndefined(cache.get("a", V1, 0));
    assert.isUndefined(cache.get("c", V1, 0));
    assert.equal(cache.reservedDigests, 10);
  });

  test("digest cache: a tensor larger than the room is not cached and pushes nothing out", async () => {
    const cache = new DigestCache(3);
    await fill(cache, "a", V1, 3);
    await fill(cache, "b", V1, 4);
    assert.isUndefined(cache.get("b", V1, 0));
    assert.isDefined(cache.all("a", V1, 3));
    // Of a tensor that grew past the room, the old version goes all the same.
    await fill(cache, "a", V2, 4);
    assert.isUndefined(cache.get("a", V1, 0));
    assert.equal(cache.reservedDigests, 0);
  });

  test("digest cache: what is handed out is a copy", async () => {
    const cache = new DigestCache();
    await fill(cache, "a", V1, 2);
    cache.get("a", V1, 0)?.fill(0);
    for (const digest of cache.all("a", V1, 2) ?? []) digest.fill(0);
    assert.deepEqual(cache.all("a", V1, 2), await countedDigests(2));
  });

  test("digest cache: refuses leaves the tensor does not have and digests of another length", () => {
    const cache = new DigestCache();
    for (const index of [-1, 2, 0.5]) {
      assert.throws(() => cache.set("a", V1, 2, index, new Uint8Array(32)), RangeError, /2 leaves/);
    }
    assert.throws(() => cache.set("a", V1, 2, 0, new Uint8Array(31)), RangeError, /found 31/);
    assert.throws(() => new DigestCache(-1), RangeError, /maxDigests/);
    assert.equal(cache.reservedDigests, 0);
  });
};
