import { assert } from "chai";
import fc from "fast-check";
import { createWebSha256, portableSha256, type Sha256, sha256 } from "../../lib/platform/sha256.ts";
import { innerNode, leafNode, leftLeaves, merkleTop } from "../../lib/tensor/merkle.ts";
import type { Suite } from "../harness.ts";
import { toHex } from "../hex.ts";
import { assertRejects } from "../rejects.ts";
import vectors from "../vectors/identity.json" with { type: "json" };
import { countedDigests } from "./digests.ts";

/** RFC 6962's own recursive definition, with our domain bytes. */
async function naiveTop(digests: readonly Uint8Array[]): Promise<Uint8Array> {
  if (digests.length === 0) return sha256([]);
  if (digests.length === 1) return sha256([Uint8Array.of(0), digests[0] as Uint8Array]);
  let left = 1;
  while (left * 2 < digests.length) left *= 2;
  return sha256([
    Uint8Array.of(1),
    await naiveTop(digests.slice(0, left)),
    await naiveTop(digests.slice(left)),
  ]);
}

export const merkleSuite: Suite = ({ test }) => {
  test("merkle: tops of 0 to 33 leaves are the golden ones, with every kind of SHA-256", async () => {
    for (const hash of [sha256, createWebSha256() ?? sha256, portableSha256]) {
      for (const [leafTotal, wanted] of vectors.tops.entries()) {
        assert.equal(toHex(await merkleTop(await countedDigests(leafTotal), hash)), wanted);
      }
    }
  });

  test("merkle: any digests give the top of the recursive definition", async () => {
    const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
    await fc.assert(
      fc.asyncProperty(fc.array(digest, { maxLength: 70 }), async (digests) => {
        assert.equal(toHex(await merkleTop(digests, sha256)), toHex(await naiveTop(digests)));
      }),
    );
  });

  test("merkle: one pass over the digests, one hash a node", async () => {
    const digests = await countedDigests(1000);
    let hashes = 0;
    const counting: Sha256 = (parts) => {
      hashes++;
      return sha256(parts);
    };
    const top = await merkleTop(digests.values(), counting);
    assert.equal(hashes, 1000 + 999);
    assert.equal(toHex(top), toHex(await naiveTop(digests)));
  });

  test("merkle: the left half is right past 2^31 leaves", () => {
    assert.equal(leftLeaves(2), 1);
    assert.equal(leftLeaves(3), 2);
    assert.equal(leftLeaves(4), 2);
    assert.equal(leftLeaves(5), 4);
    assert.equal(leftLeaves(2 ** 32), 2 ** 31);
    assert.equal(leftLeaves(2 ** 32 + 1), 2 ** 32);
  });

  test("merkle: no leaf whose bytes look like a node passes for that node", async () => {
    const [a, b] = (await countedDigests(2)) as [Uint8Array, Uint8Array];
    const left = await leafNode(a, sha256);
    const right = await leafNode(b, sha256);
    const top = toHex(await merkleTop([a, b], sha256));
    assert.equal(top, toHex(await innerNode(left, right, sha256)));

    const forgeries = [
      [left, right], // 64 bytes: two nodes
      [a, b], // 64 bytes: two leaf digests
      [Uint8Array.of(1), left, right], // 65 bytes: all that the node hashes
    ];
    for (const forged of forgeries) {
      assert.notEqual(toHex(await merkleTop([await sha256(forged)], sha256)), top);
    }
    const leafLike = await sha256([Uint8Array.of(0), a]); // 33 bytes: all that a leaf's node hashes
    assert.equal(toHex(leafLike), toHex(left));
    assert.notEqual(toHex(await merkleTop([leafLike, b], sha256)), top);
  });

  test("merkle: a last leaf said twice is another tree", async () => {
    const [a, b, c] = (await countedDigests(3)) as [Uint8Array, Uint8Array, Uint8Array];
    assert.notEqual(
      toHex(await merkleTop([a, b, c], sha256)),
      toHex(await merkleTop([a, b, c, c], sha256)),
    );
  });

  test("merkle: refuses digests of another length", async () => {
    for (const length of [0, 31, 33, 64]) {
      await assertRejects(
        () => merkleTop([new Uint8Array(length)], sha256),
        RangeError,
        new RegExp(`32 bytes, found ${length}`),
      );
    }
  });
};
