// This module runs in every runtime.
/**
 * One stream for each step of a transfer, each usable by itself: chunk, checksum, compress and
 * frame a tensor, and the mirror of each.
 *
 * @module headrace/streams
 */
export { type AssemblerOptions, AssemblerStream } from "./assembler_stream.ts";
export { type ChecksumOptions, ChecksumStream } from "./checksum_stream.ts";
export type { ChunkerOptions } from "./chunk_cutter.ts";
export { ChunkerStream } from "./chunker_stream.ts";
export { chunksFrom } from "./chunks_from.ts";
export { type CompressorOptions, CompressorStream } from "./compressor_stream.ts";
export { type DecompressorOptions, DecompressorStream } from "./decompressor_stream.ts";
export { type FrameDecoderOptions, FrameDecoderStream } from "./frame_decoder_stream.ts";
export { type FrameEncoderOptions, FrameEncoderStream } from "./frame_encoder_stream.ts";
export { type OrderedMapOptions, OrderedMapStream } from "./ordered_map_stream.ts";
export { type RetryingWriterOptions, retryingWriter } from "./retrying_writer.ts";
export { type VerifierOptions, VerifierStream } from "./verifier_stream.ts";
