import { assert } from "chai";
import { sha256 } from "../../lib/platform/sha256.ts";
import { HEADER_TENSOR, SIDE_FILES_PARTITION } from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { DType } from "../../lib/tensor/dtype.ts";
import { modelRoot, type NamedRoot, partitionRoot, tensorRoot } from "../../lib/tensor/root.ts";
import type { Suite } from "../harness.ts";
import { fromHex, toHex } from "../hex.ts";
import { assertRejects } from "../rejects.ts";
import vectors from "../vectors/identity.json" with { type: "json" };
import { countedDigests, digestLeaves, patternBytes } from "./digests.ts";

const named = (entries: readonly { name: string; root: string }[]): NamedRoot[] =>
  entries.map(({ name, root }) => ({ name, root: fromHex(root) }));

const someRoot = (fill: number) => new Uint8Array(32).fill(fill);

/** Fails unless every one of the roots differs from all others. */
async function assertDistinct(roots: readonly Promise<Uint8Array>[]): Promise<void> {
  const texts = (await Promise.all(roots)).map(toHex);
  assert.equal(new Set(texts).size, roots.length, texts.join("\n"));
}

export const rootSuite: Suite = ({ test }) => {
  test("root: tensors have the golden roots, from their bytes on", async () => {
    for (const { dtype, shape, byteLength, leafDigests, root } of vectors.tensors) {
      const digests = await digestLeaves(patternBytes(byteLength));
      assert.deepEqual(digests.map(toHex), leafDigests);
      const descriptor = createDescriptor(dtype as DType, shape, byteLength);
      assert.equal(toHex(await tensorRoot(descriptor, digests, sha256)), root, dtype);
    }
  });

  test("root: a tensor past 2^32 bytes has the golden root", async () => {
    const { dtype, shape, byteLength, root } = vectors.huge;
    assert.isAbove(byteLength, 2 ** 32);
    const descriptor = createDescriptor(dtype as DType, shape, byteLength);
    assert.equal(toHex(await tensorRoot(descriptor, await countedDigests(5000), sha256)), root);
  });

  test("root: dtype, shape and bytes each make another tensor", async () => {
    const [a, b] = (await countedDigests(2)) as [Uint8Array, Uint8Array];
    const rootOf = (dtype: DType, shape: number[], digest = a) =>
      tensorRoot(createDescriptor(dtype, shape), [digest], sha256);
    await assertDistinct([
      rootOf("U8", [6]),
      rootOf("I8", [6]),
      rootOf("U8", [2, 3]),
      rootOf("U8", [3, 2]),
      rootOf("U8", [1, 6]),
      rootOf("U8", [6, 1]),
      rootOf("U8", [7]),
      rootOf("U8", [6], b),
      tensorRoot(createDescriptor("U8", [0]), [], sha256),
      tensorRoot(createDescriptor("U8", [0, 2]), [], sha256),
    ]);
  });

  test("root: refuses digests that are too few or too many and descriptors that disagree", async () => {
    const [digest] = (await countedDigests(1)) as [Uint8Array];
    const descriptor = createDescriptor("U8", [6]);
    await assertRejects(
      () => tensorRoot(descriptor, [], sha256),
      RangeError,
      /1 leaf digests, found 0/,
    );
    await assertRejects(
      () => tensorRoot(descriptor, [digest, digest], sha256),
      RangeError,
      /1 leaf digests, found 2/,
    );
    await assertRejects(
      () => tensorRoot({ ...descriptor, byteLength: 7 }, [digest], sha256),
      RangeError,
      /takes 6 bytes/,
    );
    await assertRejects(
      () => tensorRoot(createDescriptor("U8", new Array<number>(256).fill(1)), [digest], sha256),
      RangeError,
      /255 dimensions, found 256/,
    );
  });

  test("root: partitions and the model have the golden roots, side files and any order included", async () => {
    for (const { name, tensors, root } of vectors.partitions) {
      assert.equal(toHex(await partitionRoot(name, named(tensors), sha256)), root, name);
    }
    const partitions = named(vectors.partitions);
    assert.equal(toHex(await modelRoot(partitions, sha256)), vectors.model);
    assert.equal(toHex(await modelRoot(partitions.toReversed(), sha256)), vectors.model);
    assert.equal(toHex(await modelRoot([], sha256)), vectors.emptyModel);
  });

  test("root: a file's order counts, that of side files does not", async () => {
    const entries = [
      { name: "b", root: someRoot(1) },
      { name: "a", root: someRoot(2) },
    ];
    const rootOf = async (name: string, tensors: readonly NamedRoot[]) =>
      toHex(await partitionRoot(name, tensors, sha256));
    const turned = entries.toReversed();
    assert.notEqual(await rootOf("default", entries), await rootOf("default", turned));
    assert.equal(
      await rootOf(SIDE_FILES_PARTITION, entries),
      await rootOf(SIDE_FILES_PARTITION, turned),
    );
  });

  test("root: names, their boundaries and their roots each make another partition", async () => {
    const rootOf = (name: string, ...tensors: [string, number][]) =>
      partitionRoot(
        name,
        tensors.map(([tensor, fill]) => ({ name: tensor, root: someRoot(fill) })),
        sha256,
      );
    await assertDistinct([
      rootOf("p"),
      rootOf("q"),
      rootOf("p", ["a", 1]),
      rootOf("p", ["a", 2]),
      rootOf("p", ["b", 1]),
      rootOf("pa", ["b", 1]),
      rootOf("p", ["ab", 1]),
      rootOf("p", ["a", 1], ["b", 1]),
      modelRoot([{ name: "a", root: someRoot(1) }], sha256),
      modelRoot([{ name: "b", root: someRoot(1) }], sha256),
      modelRoot([{ name: "a", root: someRoot(2) }], sha256),
    ]);
  });

  test("root: refuses a name twice, a header that is not first, and names no address can have", async () => {
    const entry = (name: string) => ({ name, root: someRoot(1) });
    const refused = (work: () => unknown, message: RegExp) =>
      assertRejects(work, RangeError, message);
    await refused(
      () => partitionRoot("p", [entry("a"), entry("a")], sha256),
      /"a" is listed twice/,
    );
    await refused(() => modelRoot([entry("a"), entry("a")], sha256), /"a" is listed twice/);
    await refused(
      () => partitionRoot("p", [entry("a"), entry(HEADER_TENSOR)], sha256),
      /header of partition "p" must be listed before/,
    );
    await refused(() => partitionRoot("p", [entry("n".repeat(1025))], sha256), /found 1025/);
    await refused(
      () => partitionRoot("p", [{ name: "a", root: new Uint8Array(31) }], sha256),
      /root of "a" must be 32 bytes/,
    );
    // Half a surrogate pair encodes like U+FFFD: two names, one root.
    await assertRejects(
      () => partitionRoot("p", [entry("\ud800")], sha256),
      TypeError,
      /surrogate/,
    );
  });
};
