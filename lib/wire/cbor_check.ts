// This module runs in every runtime.

const MAX_DEPTH = 4;
const FALSE = 0xf4;
const TRUE = 0xf5;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Walks one CBOR map (RFC 8949) and refuses all that headrace's messages never hold and a general
 * decoder would take: tags (some cost quadratic time), negative numbers, floats and simple values
 * other than true and false, indefinite lengths, keys that are not text or stand twice, text that is
 * not UTF-8, more than four levels, bytes after the map.
 *
 * @throws {RangeError} saying what was found and where.
 */
export function checkPlainCbor(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  function argument(info: number): number {
    if (info < 24) return info;
    const width = [1, 2, 4, 8][info - 24];
    if (width === undefined) throw new RangeError(`an indefinite length at byte ${at}`);
    const start = at;
    at += width; // past the end: DataView throws a RangeError of its own
    if (width === 1) return view.getUint8(start);
    if (width === 2) return view.getUint16(start);
    if (width === 4) return view.getUint32(start);
    return view.getUint32(start) * 2 ** 32 + view.getUint32(start + 4);
  }

  function take(length: number): Uint8Array {
    if (length > bytes.byteLength - at) throw new RangeError(`${length} bytes announced at ${at}`);
    at += length;
    return bytes.subarray(at - length, at);
  }

  function item(depth: number): string | undefined {
    const initial = view.getUint8(at++);
    const major = initial >> 5;
    const count = argument(initial & 31);
    if (major === 1) throw new RangeError(`a negative number at byte ${at}`);
    if (major === 2) take(count);
    if (major === 3) return utf8.decode(take(count));
    if (major === 6) throw new RangeError(`a tag at byte ${at}`);
    if (major === 7 && initial !== FALSE && initial !== TRUE) {
      throw new RangeError(`a float or a simple value at byte ${at}`);
    }
    if (major === 4 || major === 5) {
      if (depth === MAX_DEPTH) throw new RangeError(`more than ${MAX_DEPTH} levels`);
      if (count > bytes.byteLength) throw new RangeError(`${count} items announced at ${at}`);
      const keys = new Set<string>();
      for (let n = 0; n < count; n++) {
        if (major === 5) {
          const key = item(MAX_DEPTH);
          if (key === undefined || keys.has(key)) throw new RangeError(`a bad key at byte ${at}`);
          keys.add(key);
        }
        item(depth + 1);
      }
    }
    return undefined;
  }

  if ((bytes[0] ?? 0) >> 5 !== 5) throw new RangeError("something else than a map");
  item(0);
  if (at !== bytes.byteLength)
    throw new RangeError(`${bytes.byteLength - at} bytes after the item`);
}
