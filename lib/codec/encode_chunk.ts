// This module runs in every runtime.
import { type Clock, systemClock } from "../clock.ts";
import type { Compression } from "./compression.ts";
import { looksIncompressible } from "./entropy.ts";
import { type CompressionGovernor, PROBE_BYTES } from "./governor.ts";

/** Options of {@linkcode encodeChunk}. */
export interface EncodeOptions {
  readonly codec: Compression;
  /** Chunks of fewer bytes stay as they are. */
  readonly thresholdBytes: number;
  /** Says whether compression pays on this link; without one it is taken to. */
  readonly governor?: CompressionGovernor | undefined;
  /** Times the codec for the governor; default the runtime's. */
  readonly clock?: Clock;
}

/** A chunk's bytes as they will travel, under the codec's name or under `none`. */
export interface EncodedBytes {
  readonly codec: string;
  readonly bytes: Uint8Array;
}

/**
 * Compresses a chunk if that makes it smaller and looks worth the time: it is large enough, the
 * governor advises it, and a sample of it does not look like noise. What comes out is never longer
 * than what went in.
 */
export function encodeChunk(
  bytes: Uint8Array,
  options: EncodeOptions,
): EncodedBytes | Promise<EncodedBytes> {
  const { codec, thresholdBytes, governor, clock = systemClock } = options;
  const raw: EncodedBytes = { codec: "none", bytes };
  if (bytes.byteLength < thresholdBytes || bytes.byteLength === 0) return raw;
  const advice = governor?.advise() ?? "compress";
  if (advice === "raw" || looksIncompressible(bytes)) return raw;

  const compress = () =>
    timed(clock, codec, bytes, (encoded, elapsedMs) => {
      governor?.encoded(bytes.byteLength, encoded.byteLength, elapsedMs);
      return encoded.byteLength < bytes.byteLength ? { codec: codec.name, bytes: encoded } : raw;
    });
  if (advice === "compress" || governor === undefined) return compress();
  const part = bytes.subarray(0, PROBE_BYTES);
  return timed(clock, codec, part, (encoded, elapsedMs) =>
    governor.probed(part.byteLength, encoded.byteLength, elapsedMs) ? compress() : raw,
  );
}

/** Compresses and goes on with what came out and the time it took, at once where the codec is synchronous. */
function timed<T>(
  clock: Clock,
  codec: Compression,
  bytes: Uint8Array,
  next: (encoded: Uint8Array, elapsedMs: number) => T | Promise<T>,
): T | Promise<T> {
  const startMs = clock.now();
  const encoded = codec.compress(bytes);
  return encoded instanceof Promise
    ? encoded.then((done) => next(done, clock.now() - startMs))
    : next(encoded, clock.now() - startMs);
}
