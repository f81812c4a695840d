// This module runs in every runtime.
import type { Sha256 } from "../platform/sha256.ts";
import { checkName, HEADER_TENSOR, SIDE_FILES_PARTITION } from "./address.ts";
import { compareBytes } from "./bytes.ts";
import { createDescriptor, type TensorDescriptor } from "./descriptor.ts";
import { leafCount } from "./leaf.ts";
import { checkDigest, merkleTop } from "./merkle.ts";

/** A name of an address and the root of what bears it. */
export interface NamedRoot {
  readonly name: string;
  readonly root: Uint8Array;
}

const TENSOR_DOMAIN = 0x02;
const PARTITION_DOMAIN = 0x03;
const MODEL_DOMAIN = 0x04;

/** The rank is one byte of what is hashed. */
const MAX_ROOT_RANK = 0xff;

const utf8 = new TextEncoder();

function u64le(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function u32le(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** UTF-8 behind its length in bytes, as u16 little-endian. */
function prefixedName(part: string, name: string): Uint8Array {
  checkName(part, name);
  const text = utf8.encode(name);
  const bytes = new Uint8Array(2 + text.byteLength);
  new DataView(bytes.buffer).setUint16(0, text.byteLength, true);
  bytes.set(text, 2);
  return bytes;
}

/**
 * The identity of a tensor: the SHA-256 of its descriptor and the top of the tree over its leaves.
 * It depends on nothing but dtype, shape and bytes. Layout: SPEC, "Identity".
 *
 * @param leafDigests SHA-256 of every leaf, in order.
 * @throws {TypeError | RangeError} for a descriptor whose parts disagree or that has more than 255
 *   dimensions, or digests that are too few, too many or not 32 bytes.
 *
 * @example
 * ```ts
 * import { createDescriptor, sha256, tensorRoot } from "headrace";
 *
 * const bytes = new Uint8Array(24);
 * const root = await tensorRoot(createDescriptor("F32", [2, 3]), [await sha256([bytes])], sha256);
 * console.log(root.byteLength); // 32
 * ```
 */
export async function tensorRoot(
  descriptor: TensorDescriptor,
  leafDigests: readonly Uint8Array[],
  sha256: Sha256,
): Promise<Uint8Array> {
  const leafTotal = leafCount(descriptor.byteLength);
  if (leafDigests.length !== leafTotal) {
    throw new RangeError(
      `A tensor of ${descriptor.byteLength} bytes has ${leafTotal} leaf digests, found ${leafDigests.length}`,
    );
  }
  return tensorRootOfTop(descriptor, await merkleTop(leafDigests, sha256), sha256);
}

/** As {@linkcode tensorRoot}, where the top of the tree is known already. */
export async function tensorRootOfTop(
  descriptor: TensorDescriptor,
  top: Uint8Array,
  sha256: Sha256,
): Promise<Uint8Array> {
  const { dtype, shape, byteLength } = createDescriptor(
    descriptor.dtype,
    descriptor.shape,
    descriptor.byteLength,
  );
  if (shape.length > MAX_ROOT_RANK) {
    throw new RangeError(
      `A tensor with a root has at most ${MAX_ROOT_RANK} dimensions, found ${shape.length}`,
    );
  }
  const dtypeName = utf8.encode(dtype);
  return sha256([
    Uint8Array.of(TENSOR_DOMAIN, dtypeName.byteLength),
    dtypeName,
    Uint8Array.of(shape.length),
    ...shape.map(u64le),
    u64le(byteLength),
    checkDigest(top, "The top of a tree"),
  ]);
}

/** The top of the tree over entries, each hashed with its name before its root. */
async function entriesTop(
  part: string,
  entries: readonly NamedRoot[],
  sha256: Sha256,
): Promise<Uint8Array> {
  const digests: Uint8Array[] = [];
  const seen = new Set<string>();
  for (const { name, root } of entries) {
    if (seen.has(name)) throw new RangeError(`The ${part} "${name}" is listed twice`);
    seen.add(name);
    digests.push(
      await sha256([prefixedName(part, name), checkDigest(root, `The root of "${name}"`)]),
    );
  }
  return merkleTop(digests, sha256);
}

function sortedByName(entries: readonly NamedRoot[]): NamedRoot[] {
  return entries
    .map((entry) => ({ entry, key: utf8.encode(entry.name) }))
    .sort((a, b) => compareBytes(a.key, b.key))
    .map(({ entry }) => entry);
}

/**
 * The identity of a partition, which is a file: its name and the roots of its tensors in the order
 * in which the file holds them, the raw header ({@linkcode HEADER_TENSOR}) first. The side files of
 * a model ({@linkcode SIDE_FILES_PARTITION}) have no order of their own and are sorted here.
 *
 * @throws {TypeError | RangeError} for a name that no address can have, a name listed twice, a
 *   header that is not first, or a root that is not 32 bytes.
 *
 * @example
 * ```ts
 * import { HEADER_TENSOR, partitionRoot, sha256 } from "headrace";
 *
 * const header = await sha256([new Uint8Array([1])]); // tensor roots, in truth
 * const weights = await sha256([new Uint8Array([2])]);
 * await partitionRoot(
 *   "model-00001-of-00002",
 *   [{ name: HEADER_TENSOR, root: header }, { name: "wte.weight", root: weights }],
 *   sha256,
 * );
 * ```
 */
export async function partitionRoot(
  name: string,
  tensors: readonly NamedRoot[],
  sha256: Sha256,
): Promise<Uint8Array> {
  const isFile = name !== SIDE_FILES_PARTITION;
  if (isFile && tensors.findIndex((tensor) => tensor.name === HEADER_TENSOR) > 0) {
    throw new RangeError(`The header of partition "${name}" must be listed before its tensors`);
  }
  const inOrder = isFile ? tensors : sortedByName(tensors);
  return sha256([
    Uint8Array.of(PARTITION_DOMAIN),
    prefixedName("partition", name),
    u32le(inOrder.length),
    await entriesTop("tensor", inOrder, sha256),
  ]);
}

/**
 * The identity of a model: the names and roots of its partitions, side files among them, in any
 * order. The model's own name is no part of it, so that a copy under another name is the same model.
 *
 * @throws {TypeError | RangeError} as {@linkcode partitionRoot}.
 *
 * @example
 * ```ts
 * import { modelRoot, partitionRoot, sha256 } from "headrace";
 *
 * const root = await partitionRoot("default", [], sha256);
 * await modelRoot([{ name: "default", root }], sha256);
 * ```
 */
export async function modelRoot(
  partitions: readonly NamedRoot[],
  sha256: Sha256,
): Promise<Uint8Array> {
  return sha256([
    Uint8Array.of(MODEL_DOMAIN),
    u32le(partitions.length),
    await entriesTop("partition", sortedByName(partitions), sha256),
  ]);
}
