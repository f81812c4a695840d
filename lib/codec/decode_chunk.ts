// This module runs in every runtime.
import { IntegrityError, LimitError, ProtocolError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { Compression } from "./compression.ts";
import { none } from "./none.ts";

/** Options of {@linkcode decodeChunk}. */
export interface DecodeOptions {
  /** The compressions that can be undone; `none` always can. */
  readonly codecs: readonly Compression[];
  /** The most bytes that a chunk may come to; default 64 MiB. */
  readonly maxChunkBytes?: number;
}

/**
 * A chunk's uncompressed bytes: themselves where the codec is `none`.
 *
 * @throws {ProtocolError} for a codec that is not among `codecs`.
 * @throws {LimitError} for a chunk that is declared larger than `maxChunkBytes`, before anything is allocated.
 * @throws {IntegrityError} in transit, or rejects with it, for damaged bytes.
 */
export function decodeChunk(
  bytes: Uint8Array,
  codecName: string,
  rawBytes: number,
  options: DecodeOptions,
): Uint8Array | Promise<Uint8Array> {
  const { codecs, maxChunkBytes = DEFAULT_LIMITS.maxChunkBytes } = options;
  if (!Number.isSafeInteger(rawBytes) || rawBytes < 0 || rawBytes > maxChunkBytes) {
    throw new LimitError(
      `A chunk may have at most ${maxChunkBytes} bytes, but one of ${rawBytes} is declared`,
    );
  }
  const codec = codecName === none.name ? none : codecs.find(({ name }) => name === codecName);
  if (!codec) {
    const known = [none, ...codecs].map(({ name }) => name).join(", ");
    throw new ProtocolError(`Cannot decompress "${codecName}"; known here: ${known}`);
  }
  // A codec may come from outside the library, so what it gives is checked here too.
  const check = (raw: Uint8Array) => {
    if (raw.byteLength === rawBytes) return raw;
    throw new IntegrityError(
      "transit",
      `A chunk compressed by ${codecName} should hold ${rawBytes} bytes, found ${raw.byteLength}`,
    );
  };
  const raw = codec.decompress(bytes, rawBytes);
  return raw instanceof Promise ? raw.then(check) : check(raw);
}
