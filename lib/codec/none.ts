// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import type { Compression } from "./compression.ts";

/** Bytes as they are; what chunks that would not shrink travel under. */
export const none: Compression = {
  name: "none",
  compress: (bytes) => bytes,
  decompress(bytes, rawBytes) {
    if (bytes.byteLength !== rawBytes) {
      throw new IntegrityError(
        "transit",
        `An uncompressed chunk should have ${rawBytes} bytes, found ${bytes.byteLength}`,
      );
    }
    return bytes;
  },
};
