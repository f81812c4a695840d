// This module runs in every runtime.
import { IntegrityError, LimitError, ProtocolError } from "../errors.ts";
import type { Compression } from "./compression.ts";
import { none } from "./none.ts";

/** Options of {@linkcode decodeChunk}. */
export interface DecodeOptions {
  /** What may come in, beside `none`. */
  readonly codecs: readonly Compression[];
  /** The most bytes that a chunk may come to. */
  readonly maxChunkBytes: number;
}

/**
 * Undoes a chunk's compression.
 *
 * @throws {ProtocolError} for a codec that was not agreed on.
 * @throws {LimitError} for a chunk that is declared larger than `maxChunkBytes`, before anything is allocated.
 * @throws {IntegrityError} in transit, or rejects with it, for damaged bytes.
 */
export function decodeChunk(
  bytes: Uint8Array,
  codecName: string,
  rawBytes: number,
  options: DecodeOptions,
): Uint8Array | Promise<Uint8Array> {
  if (!Number.isSafeInteger(rawBytes) || rawBytes < 0 || rawBytes > options.maxChunkBytes) {
    throw new LimitError(
      `A chunk may have at most ${options.maxChunkBytes} bytes, but one of ${rawBytes} is declared`,
    );
  }
  const codec =
    codecName === none.name ? none : options.codecs.find(({ name }) => name === codecName);
  if (!codec) {
    const known = [none, ...options.codecs].map(({ name }) => name).join(", ");
    throw new ProtocolError(`Cannot decompress "${codecName}"; known here: ${known}`);
  }
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
