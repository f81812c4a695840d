// This module runs in every runtime.
/**
 * What travels: dtypes, descriptors and addresses, sources and sinks, and the identity of tensors,
 * files and models: leaves, tree, roots and proofs of ranges.
 *
 * @module headrace/tensor
 */
export { type Sha256, sha256 } from "../platform/sha256.ts";
export {
  type AddressPattern,
  checkAddress,
  DEFAULT_PARTITION,
  formatAddress,
  HEADER_TENSOR,
  MANIFEST_TENSOR,
  matchesAddress,
  parseAddress,
  parsePattern,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "./address.ts";
export { LeafBitmap, type LeafRange } from "./bitmap.ts";
export {
  checkChunkBytes,
  chunkEnd,
  type LeafDigest,
  MAX_CHUNK_BYTES,
  MIN_CHUNK_BYTES,
  type TensorChunk,
} from "./chunk.ts";
export { byteLengthOf, createDescriptor, type TensorDescriptor } from "./descriptor.ts";
export { DigestCache } from "./digest_cache.ts";
export { DTYPES, type DType, type DTypeLayout, dtypeOfCode, isDType } from "./dtype.ts";
export { LEAF_BYTES, leafCount, leafLength } from "./leaf.ts";
export { DIGEST_BYTES, merkleTop } from "./merkle.ts";
export { type PartBytes, partBytes, type TensorPart } from "./part.ts";
export type { TransferProgress } from "./progress.ts";
export { createRangeProof, type RangeProof, verifyRangeProof } from "./proof.ts";
export { modelRoot, type NamedRoot, partitionRoot, tensorRoot, tensorRootOfTop } from "./root.ts";
export type { Held, PushOrigin, SinkStore, TensorSink } from "./sink.ts";
export type {
  SourceVersion,
  StoreChange,
  StoreEntry,
  TensorSource,
  TensorStore,
} from "./source.ts";
export {
  dtypeOfArray,
  type HalfArray,
  isTypedArray,
  type TypedArray,
  type TypedArrayOf,
  typedArrayOf,
} from "./typed_array.ts";
