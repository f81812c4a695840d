// This module runs in every runtime.
import { IntegrityError } from "../errors.ts";
import {
  createNodeDeflate,
  type DeflateSettings,
  type Inflated,
  type RawDeflate,
} from "../platform/zlib.ts";
import type { Compression } from "./compression.ts";
import { pakoDeflate } from "./pako_deflate.ts";

/** Options of {@linkcode createDeflate}. */
export interface DeflateOptions extends Partial<DeflateSettings> {
  /** Whose deflate to use; default the runtime's own zlib, else pako. */
  readonly implementation?: RawDeflate;
}

// The least that deflate can say 258 bytes in is two bits.
const MAX_EXPANSION = 1032;

const damaged = (rawBytes: number, found: string, cause?: unknown) =>
  new IntegrityError("transit", `A deflated chunk should hold ${rawBytes} bytes, ${found}`, {
    ...(cause === undefined ? {} : { cause }),
  });

/**
 * Raw deflate (RFC 1951), by default at level 1 with zlib's strategy `rle`. On weights that makes
 * chunks as small as the default strategy does, or smaller, in a third of the time, because there
 * is nothing but runs to be found in them; for text, `strategy: "default"` is much better.
 * Any decoder reads both.
 *
 * @throws {RangeError} for a level that is not a whole number from 1 to 9.
 *
 * @example
 * ```ts
 * import { createDeflate } from "headrace";
 *
 * const deflate = createDeflate({ level: 6, strategy: "default" });
 * const small = await deflate.compress(new Uint8Array(100_000));
 * const bytes = await deflate.decompress(small, 100_000);
 * console.log(small.byteLength < 200, bytes.byteLength); // true 100000
 * ```
 */
export function createDeflate(options: DeflateOptions = {}): Compression {
  const { level = 1, strategy = "rle" } = options;
  if (!Number.isInteger(level) || level < 1 || level > 9) {
    throw new RangeError(`A deflate level is a whole number from 1 to 9, found ${level}`);
  }
  const settings: DeflateSettings = { level, strategy };
  let chosen = options.implementation;
  const implementation = () => {
    chosen ??= createNodeDeflate() ?? pakoDeflate;
    return chosen;
  };
  return {
    name: "deflate",

    compress: (bytes) => implementation().deflate(bytes, settings),

    decompress(bytes, rawBytes) {
      if (rawBytes > bytes.byteLength * MAX_EXPANSION) {
        throw damaged(rawBytes, `which ${bytes.byteLength} bytes cannot`);
      }
      const fail = (cause: unknown) => {
        throw damaged(rawBytes, "but could not be inflated", cause);
      };
      const check = ({ bytes: raw, consumedBytes }: Inflated) => {
        if (raw.byteLength !== rawBytes) throw damaged(rawBytes, `found ${raw.byteLength}`);
        if (consumedBytes !== bytes.byteLength) {
          throw damaged(rawBytes, `found others from byte ${consumedBytes} of it on`);
        }
        return raw;
      };
      let result: Inflated | Promise<Inflated>;
      try {
        result = implementation().inflate(bytes, rawBytes);
      } catch (cause) {
        return fail(cause);
      }
      return result instanceof Promise ? result.then(check, fail) : check(result);
    },
  };
}

/** {@linkcode createDeflate} with its defaults: what both sides have without asking. */
export const deflate: Compression = createDeflate();
