// This module runs in every runtime.
import type { Compression } from "../codec/compression.ts";
import { deflate } from "../codec/deflate.ts";

/** The codecs that settings can name. */
export const KNOWN_CODECS: Readonly<Record<string, Compression>> = { deflate };

/** Their names, the preferred first. */
export const CODEC_NAMES: readonly string[] = Object.keys(KNOWN_CODECS);
