import { assert } from "chai";
import { IntegrityError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { createDescriptor, type TensorDescriptor } from "../../lib/tensor/descriptor.ts";
import { LEAF_BYTES } from "../../lib/tensor/leaf.ts";
import { createRangeProof, type RangeProof, verifyRangeProof } from "../../lib/tensor/proof.ts";
import { tensorRoot } from "../../lib/tensor/root.ts";
import type { Suite } from "../harness.ts";
import { fromHex, toHex } from "../hex.ts";
import { assertRejects } from "../rejects.ts";
import vectors from "../vectors/identity.json" with { type: "json" };
import { countedDigests } from "./digests.ts";

interface Tree {
  readonly descriptor: TensorDescriptor;
  readonly digests: readonly Uint8Array[];
  readonly root: Uint8Array;
}

async function treeOf(leafTotal: number): Promise<Tree> {
  const descriptor = createDescriptor("U8", [leafTotal * LEAF_BYTES]);
  const digests = await countedDigests(leafTotal);
  return { descriptor, digests, root: await tensorRoot(descriptor, digests, sha256) };
}

async function prove(tree: Tree, first: number, count: number): Promise<RangeProof> {
  const { descriptor, digests, root } = tree;
  const proof = await createRangeProof(digests, first, count, sha256);
  return { descriptor, root, first, digests: digests.slice(first, first + count), proof };
}

function* rangesOf(leafTotal: number): Generator<[first: number, count: number]> {
  for (let first = 0; first < leafTotal; first++) {
    for (let count = 1; first + count <= leafTotal; count++) yield [first, count];
  }
}

function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice();
  flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
  return flipped;
}

const refuse = (claim: RangeProof) =>
  assertRejects(() => verifyRangeProof(claim, sha256), IntegrityError, /proof/);

export const proofSuite: Suite = ({ test }) => {
  test("proof: every range of every tree up to 20 leaves is proven, within two hashes a level", async () => {
    for (let leafTotal = 0; leafTotal <= 20; leafTotal++) {
      const tree = await treeOf(leafTotal);
      const levels = Math.ceil(Math.log2(Math.max(leafTotal, 1)));
      for (const [first, count] of rangesOf(leafTotal)) {
        const claim = await prove(tree, first, count);
        await verifyRangeProof(claim, sha256);
        assert.isAtMost(claim.proof.byteLength, 2 * levels * 32);
        if (count === leafTotal) assert.equal(claim.proof.byteLength, 0);
      }
    }
  });

  test("proof: golden proofs are made and accepted byte for byte", async () => {
    for (const { leafTotal, first, count, root, proof } of vectors.proofs) {
      const tree = await treeOf(leafTotal);
      assert.equal(toHex(tree.root), root);
      const claim = await prove(tree, first, count);
      assert.equal(toHex(claim.proof), proof);
      await verifyRangeProof({ ...claim, root: fromHex(root), proof: fromHex(proof) }, sha256);
    }
  });

  test("proof: every single flipped bit of proof, digests or root is refused", async () => {
    const tree = await treeOf(7);
    for (const [first, count] of rangesOf(7)) {
      const claim = await prove(tree, first, count);
      for (let bit = 0; bit < claim.proof.byteLength * 8; bit++) {
        await refuse({ ...claim, proof: flipBit(claim.proof, bit) });
      }
    }
    const claim = await prove(tree, 2, 3);
    for (let bit = 0; bit < 256; bit++) {
      await refuse({ ...claim, root: flipBit(claim.root, bit) });
      for (const place of claim.digests.keys()) {
        const digests = claim.digests.with(place, flipBit(claim.digests[place] as Uint8Array, bit));
        await refuse({ ...claim, digests });
      }
    }
  });

  test("proof: hashes missing, too many or in another order are refused", async () => {
    const tree = await treeOf(13);
    for (const [first, count] of rangesOf(13)) {
      const claim = await prove(tree, first, count);
      const { proof } = claim;
      await refuse({ ...claim, proof: new Uint8Array([...proof, 0]) });
      await refuse({ ...claim, proof: new Uint8Array([...proof, ...new Uint8Array(32)]) });
      if (proof.byteLength === 0) continue;
      await refuse({ ...claim, proof: proof.subarray(0, -1) });
      await refuse({ ...claim, proof: proof.subarray(32) });
      if (proof.byteLength === 32) continue;
      await refuse({
        ...claim,
        proof: new Uint8Array([...proof.subarray(32), ...proof.subarray(0, 32)]),
      });
    }
  });

  test("proof: it holds for its own range, leaves and tensor only", async () => {
    const tree = await treeOf(8);
    const claim = await prove(tree, 2, 2);
    for (const first of [0, 1, 3, 4, 6]) await refuse({ ...claim, first });
    await refuse({ ...claim, digests: claim.digests.toReversed() });
    await refuse({ ...claim, digests: claim.digests.slice(1) });
    await refuse({ ...claim, digests: tree.digests.slice(2, 5) });
    // Same leaves, same number of them, another descriptor.
    await refuse({ ...claim, descriptor: createDescriptor("I8", [8 * LEAF_BYTES]) });
    await refuse({ ...claim, descriptor: createDescriptor("U8", [8 * LEAF_BYTES - 1]) });
    // An inner node in the place of a leaf of a smaller tensor.
    await refuse({ ...claim, descriptor: createDescriptor("U8", [4 * LEAF_BYTES]) });
    const error = await refuse({ ...claim, first: 4 });
    assert.equal(error.where, "transit");
  });

  test("proof: a range that is empty or not within the tensor is a RangeError", async () => {
    const tree = await treeOf(5);
    const claim = await prove(tree, 1, 2);
    for (const [first, count] of [
      [0, 0],
      [5, 1],
      [4, 2],
      [-1, 1],
      [0.5, 1],
      [Number.NaN, 1],
      [0, 6],
      [2 ** 53, 1],
    ] as const) {
      const message = /one leaf or more of the tensor's 5/;
      await assertRejects(
        () => createRangeProof(tree.digests, first, count, sha256),
        RangeError,
        message,
      );
      const digests = await countedDigests(count);
      await assertRejects(
        () => verifyRangeProof({ ...claim, first, digests }, sha256),
        RangeError,
        message,
      );
    }
    const empty = { ...claim, descriptor: createDescriptor("U8", [0]), first: 0, digests: [] };
    await assertRejects(() => verifyRangeProof(empty, sha256), RangeError, /tensor's 0/);
  });

  test("proof: digests or a root of another length are a RangeError", async () => {
    const claim = await prove(await treeOf(3), 1, 1);
    const digests = [new Uint8Array(33)];
    await assertRejects(
      () => verifyRangeProof({ ...claim, digests }, sha256),
      RangeError,
      /found 33/,
    );
    const root = new Uint8Array(0);
    await assertRejects(() => verifyRangeProof({ ...claim, root }, sha256), RangeError, /found 0/);
  });

  test("proof: of one leaf in the largest of tensors it takes two hashes a level at most, unread if wrong", async () => {
    let hashes = 0;
    const claim: RangeProof = {
      descriptor: createDescriptor("U8", [2 ** 53 - 1]),
      root: new Uint8Array(32),
      first: 2 ** 32 + 12_345,
      digests: [new Uint8Array(32)],
      proof: new Uint8Array(0),
    };
    const counting = (parts: readonly Uint8Array[]) => {
      hashes++;
      return sha256(parts);
    };
    await assertRejects(
      () => verifyRangeProof(claim, counting),
      IntegrityError,
      /takes 1056 bytes/,
    );
    assert.equal(hashes, 0);
    const proof = new Uint8Array(1056);
    await assertRejects(
      () => verifyRangeProof({ ...claim, proof }, counting),
      IntegrityError,
      /does not lead/,
    );
    assert.equal(hashes, 1 + 33 + 1);
  });
};
