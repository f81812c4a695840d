// This module runs in every runtime.
import type { RawDeflate } from "../platform/zlib.ts";

// zlib's numbers for a raw stream with the largest window.
const RAW_WINDOW_BITS = -15;
const STRATEGIES = { rle: 3, default: 0 } as const;

/** Raw deflate in plain JavaScript, for runtimes without zlib of their own; loaded when first used. */
export const pakoDeflate: RawDeflate = {
  async deflate(bytes, { level, strategy }) {
    const { deflateRaw } = await import("pako");
    return deflateRaw(bytes, { level, strategy: STRATEGIES[strategy] });
  },

  async inflate(bytes, maxBytes) {
    const { ZStream, Z_FINISH, Z_STREAM_END, zlibInflate, zlibInflateInit2 } = await import("pako");
    const stream = new ZStream();
    zlibInflateInit2(stream, RAW_WINDOW_BITS);
    stream.input = bytes;
    stream.avail_in = bytes.byteLength;
    stream.output = new Uint8Array(maxBytes);
    stream.avail_out = maxBytes;
    const status = zlibInflate(stream, Z_FINISH);
    if (status !== Z_STREAM_END) {
      throw new Error(stream.msg || `zlib status ${status}: the stream is cut or too long`);
    }
    return { bytes: stream.output.subarray(0, stream.total_out), consumedBytes: stream.total_in };
  },
};
