// The receiving stages in a row, as the suites of each of them use them.
import type { Limits } from "../../lib/limits.ts";
import { AssemblerStream } from "../../lib/streams/assembler_stream.ts";
import { DecompressorStream } from "../../lib/streams/decompressor_stream.ts";
import { FrameDecoderStream } from "../../lib/streams/frame_decoder_stream.ts";
import { VerifierStream } from "../../lib/streams/verifier_stream.ts";
import { concat } from "../wire/vectors.ts";
import { collect, countedSource } from "./support.ts";

/** Decodes, decompresses, verifies and assembles a recorded transfer. */
export async function receive(
  slices: Iterable<Uint8Array>,
  options: { readonly limits?: Limits; readonly expectPreamble?: boolean } = {},
): Promise<Uint8Array> {
  const decoder = new FrameDecoderStream(options);
  const parts = await collect(
    countedSource(slices)
      .stream.pipeThrough(decoder)
      .pipeThrough(new DecompressorStream())
      .pipeThrough(new VerifierStream(decoder))
      .pipeThrough(new AssemblerStream()),
  );
  return concat(parts);
}
