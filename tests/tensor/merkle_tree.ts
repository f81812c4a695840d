import { assert } from "chai";
import { sha256 } from "../../lib/platform/sha256.ts";
import { merkleTop } from "../../lib/tensor/merkle.ts";
import { MerkleTree } from "../../lib/tensor/merkle_tree.ts";
import { createRangeProof } from "../../lib/tensor/proof.ts";
import type { Suite } from "../harness.ts";

export const merkleTreeSuite: Suite = ({ test }) => {
  test("merkle tree: has the top and every proof that hashing anew gives", async () => {
    const digests: Uint8Array[] = [];
    for (let leafTotal = 1; leafTotal <= 35; leafTotal++) {
      digests.push(await sha256([Uint8Array.of(leafTotal)]));
      const tree = await MerkleTree.over(digests, sha256);
      assert.deepEqual(tree.top, await merkleTop(digests, sha256), `${leafTotal} leaves`);
      for (let first = 0; first < leafTotal; first++) {
        const count = 1 + ((first * 7) % (leafTotal - first));
        const proof = await createRangeProof(digests, first, count, sha256);
        assert.deepEqual(tree.proof(first, count), proof, `${count} of ${leafTotal} from ${first}`);
      }
    }
  });

  test("merkle tree: a range outside the tensor has no proof", async () => {
    const tree = await MerkleTree.over([new Uint8Array(32), new Uint8Array(32)], sha256);
    for (const [first, count] of [
      [0, 0],
      [0, 3],
      [2, 1],
      [-1, 1],
      [0.5, 1],
    ] as const) {
      assert.throws(() => tree.proof(first, count), RangeError, /one leaf or more/);
    }
  });
};
