// Reads frames as far as one can without a session: what the suites turn every bit of.
import type { Limits } from "../../lib/limits.ts";
import { FrameParser } from "../../lib/wire/frame_parser.ts";
import { decodeFrame } from "./frame_values.ts";
import { concat } from "./vectors.ts";

/** Bytes cut at the given lengths, over and over. */
export function* slicesOf(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, n = 0; at < bytes.byteLength; n++) {
    const length = lengths[n % lengths.length] as number;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** Everything that the bytes say, decoded; throws at the first thing that is wrong. */
export function readFrames(
  slices: Iterable<Uint8Array>,
  options: { readonly limits?: Limits; readonly expectPreamble?: boolean } = {},
): unknown[] {
  const found: unknown[] = [];
  let data: Uint8Array[] = [];
  let leftBytes = 0;
  const parser = new FrameParser(
    {
      preamble: (versions) => found.push(versions),
      frame(header, payload) {
        found.push({ header, value: decodeFrame(header, payload.slice()) });
      },
      chunk(header, head, dataBytes) {
        found.push({ header, head });
        data = [];
        leftBytes = dataBytes;
      },
      chunkData(bytes) {
        data.push(bytes.slice());
        leftBytes -= bytes.byteLength;
        if (leftBytes === 0) found.push(concat(data));
      },
    },
    options.limits,
    options.expectPreamble ?? false,
  );
  for (const slice of slices) parser.push(slice);
  parser.end();
  return found;
}
