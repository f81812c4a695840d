// This module runs in every runtime.
/**
 * Compression as values: none and deflate, when to use which, and the two functions that apply
 * one to a chunk.
 *
 * @module headrace/codec
 */
export type { Compression } from "./compression.ts";
export { type DecodeOptions, decodeChunk } from "./decode_chunk.ts";
export { createDeflate, type DeflateOptions, deflate } from "./deflate.ts";
export { type EncodedBytes, type EncodeOptions, encodeChunk } from "./encode_chunk.ts";
export { INCOMPRESSIBLE_BITS, looksIncompressible, sampledEntropyBits } from "./entropy.ts";
export { type CompressionAdvice, CompressionGovernor, PROBE_BYTES } from "./governor.ts";
export { none } from "./none.ts";
