// This module runs in every runtime.

/** What to do with the next chunk: `probe` means compress a part of it, to learn, and ask again. */
export type CompressionAdvice = "raw" | "compress" | "probe";

/** How much of a chunk a probe compresses. */
export const PROBE_BYTES: number = 64 * 1024;

// Probes may take this share of the time spent on the link and in the codec.
const PROBE_SHARE = 0.01;
// What a probe is believed to cost before the first, at 100 MB/s: it comes after 66 ms on the link.
const PRIOR_ENCODE_MS_PER_BYTE = 1 / 100_000;
// Compression begins where it gains this much, and ends where it gains nothing.
const MIN_GAIN = 0.03;
// The link's rate is that of about this many of the last bytes.
const LINK_WINDOW_BYTES = 4 * 1024 * 1024;
// The weight of the newest figure in the codec's speed and ratio.
const CODEC_WEIGHT = 0.25;

/**
 * Decides whether compressing is quicker than sending as it is: a sender whose encoder is slower
 * than its link drains sends raw, so compression costs nobody on a fast link.
 *
 * Pure arithmetic over figures that its user reports; it has no clock. It compares, for a byte,
 * the time to encode it plus the time to send what is left of it with the time to send it raw.
 * Taking the two one after the other is the cautious side: where encoding and sending overlap,
 * compression is used a little less than it could be, never more. Until the link's rate is known,
 * chunks go raw. While they do, parts of chunks are compressed now and then to see whether it
 * would pay; that takes at most 1 % of the time.
 */
export class CompressionGovernor {
  #compressing = false;
  #linkBytes = 0;
  #linkMs = 0;
  /** Link and codec time so far, without probes. */
  #busyMs = 0;
  #probeMs = 0;
  #encodeMsPerByte: number | undefined;
  #encodedShare = 1;

  /** What to do with the next chunk. A `probe` is charged here, so ask once for each chunk. */
  advise(): CompressionAdvice {
    if (this.#linkBytes === 0) return "raw";
    this.#weigh();
    if (this.#compressing) return "compress";
    const probeMs = PROBE_BYTES * (this.#encodeMsPerByte ?? PRIOR_ENCODE_MS_PER_BYTE);
    if (this.#probeMs + probeMs > this.#busyMs * PROBE_SHARE) return "raw";
    this.#probeMs += probeMs;
    return "probe";
  }

  /** A chunk was compressed in `elapsedMs`. */
  encoded(rawBytes: number, encodedBytes: number, elapsedMs: number): void {
    this.#busyMs += elapsedMs;
    this.#learn(rawBytes, encodedBytes, elapsedMs);
  }

  /** A probe that {@linkcode CompressionGovernor.advise} asked for was made; whether to compress now. */
  probed(rawBytes: number, encodedBytes: number, elapsedMs: number): boolean {
    // The first probe was charged by a guess; what it really took counts.
    if (this.#encodeMsPerByte === undefined) {
      this.#probeMs += elapsedMs - PROBE_BYTES * PRIOR_ENCODE_MS_PER_BYTE;
    }
    this.#learn(rawBytes, encodedBytes, elapsedMs);
    this.#weigh();
    return this.#compressing;
  }

  /** The link took `bytes` (as sent) and was busy with them for `elapsedMs`; idle time does not count. */
  drained(bytes: number, elapsedMs: number): void {
    if (bytes <= 0) return;
    const kept = Math.exp(-bytes / LINK_WINDOW_BYTES);
    this.#linkBytes = this.#linkBytes * kept + bytes;
    this.#linkMs = this.#linkMs * kept + elapsedMs;
    this.#busyMs += elapsedMs;
  }

  #learn(rawBytes: number, encodedBytes: number, elapsedMs: number): void {
    if (rawBytes <= 0) return;
    const msPerByte = elapsedMs / rawBytes;
    const share = Math.min(1, encodedBytes / rawBytes);
    const first = this.#encodeMsPerByte === undefined;
    this.#encodeMsPerByte = first ? msPerByte : mix(this.#encodeMsPerByte as number, msPerByte);
    this.#encodedShare = first ? share : mix(this.#encodedShare, share);
  }

  #weigh(): void {
    if (this.#encodeMsPerByte === undefined || this.#linkBytes === 0) return;
    const raw = this.#linkMs / this.#linkBytes;
    const compressed = this.#encodeMsPerByte + this.#encodedShare * raw;
    this.#compressing = this.#compressing ? compressed < raw : compressed < raw * (1 - MIN_GAIN);
  }
}

function mix(before: number, now: number): number {
  return before + CODEC_WEIGHT * (now - before);
}
