// This module runs in every runtime.
// The small part of CBOR (RFC 8949) that control messages are made of. A general codec is ten times
// the size, and it takes, and so has to be guarded against, all that is refused here.
import { viewOf } from "./u64.ts";

/** What the wire's CBOR holds: no floats, no negative numbers, no null, no tags. */
export type CborValue =
  | boolean
  | number
  | string
  | Uint8Array
  | readonly CborValue[]
  | { readonly [name: string]: CborValue | undefined };

const MAX_DEPTH = 4;
const UNSIGNED = 0;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const FALSE = 0xf4;
const TRUE = 0xf5;
const FIRST_BUFFER_BYTES = 256;
const MAX_HEAD_BYTES = 9;

/**
 * One value, each head in its shortest form and each map in the order of its fields; fields that
 * are `undefined` are left out.
 *
 * @throws {RangeError} for a number that is not a whole one, from 0 to before 2^64.
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const utf8 = new TextEncoder();
  let bytes = new Uint8Array(FIRST_BUFFER_BYTES);
  let at = 0;

  function makeRoom(length: number): void {
    if (at + length <= bytes.byteLength) return;
    const larger = new Uint8Array(Math.max(2 * bytes.byteLength, at + length));
    larger.set(bytes);
    bytes = larger;
  }

  function head(major: number, count: number): void {
    if (!Number.isInteger(count) || count < 0 || count >= 2 ** 64) {
      throw new RangeError(`CBOR on the wire holds whole numbers from 0 on, found ${count}`);
    }
    makeRoom(MAX_HEAD_BYTES);
    const view = viewOf(bytes);
    const initial = major << 5;
    if (count < 24) {
      bytes[at++] = initial | count;
    } else if (count < 2 ** 8) {
      bytes[at++] = initial | 24;
      bytes[at++] = count;
    } else if (count < 2 ** 16) {
      bytes[at++] = initial | 25;
      view.setUint16(at, count);
      at += 2;
    } else if (count < 2 ** 32) {
      bytes[at++] = initial | 26;
      view.setUint32(at, count);
      at += 4;
    } else {
      bytes[at++] = initial | 27;
      view.setBigUint64(at, BigInt(count));
      at += 8;
    }
  }

  function string(major: number, content: Uint8Array): void {
    head(major, content.byteLength);
    makeRoom(content.byteLength);
    bytes.set(content, at);
    at += content.byteLength;
  }

  function item(value: CborValue): void {
    if (typeof value === "number") head(UNSIGNED, value);
    else if (typeof value === "string") string(TEXT, utf8.encode(value));
    else if (value instanceof Uint8Array) string(BYTES, value);
    else if (typeof value === "boolean") {
      makeRoom(1);
      bytes[at++] = value ? TRUE : FALSE;
    } else if (isArray(value)) {
      head(ARRAY, value.length);
      for (const element of value) item(element);
    } else {
      const fields = Object.entries(value).filter(([, field]) => field !== undefined);
      head(MAP, fields.length);
      for (const [name, field] of fields) {
        string(TEXT, utf8.encode(name));
        item(field as CborValue);
      }
    }
  }

  item(value);
  return bytes.subarray(0, at);
}

// TypeScript's own check forgets that the array is readonly.
const isArray = (value: CborValue): value is readonly CborValue[] => Array.isArray(value);

/**
 * Reads one map, and refuses all that headrace's messages never hold and a general decoder would
 * take: tags, negative numbers, floats and simple values other than true and false, indefinite lengths, keys that are not text or stand twice, text that is not UTF-8, more
 * than four levels, bytes after the map. Byte strings are copies, maps have no
 * prototype, and a number past 2^53 is the nearest there is.
 *
 * @throws {RangeError} or `TypeError` (of the text decoder), saying what was found and where.
 */
export function decodeCbor(bytes: Uint8Array): { readonly [name: string]: CborValue } {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const view = viewOf(bytes);
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

  function map(count: number, depth: number): { [name: string]: CborValue } {
    const fields: { [name: string]: CborValue } = Object.create(null);
    for (let n = 0; n < count; n++) {
      const key = item(MAX_DEPTH);
      if (typeof key !== "string" || key in fields) throw new RangeError(`a bad key at byte ${at}`);
      fields[key] = item(depth + 1);
    }
    return fields;
  }

  function item(depth: number): CborValue {
    const initial = view.getUint8(at++);
    const major = initial >> 5;
    if (initial === FALSE || initial === TRUE) return initial === TRUE;
    const count = argument(initial & 31);
    if (major === BYTES) return take(count).slice();
    if (major === TEXT) return utf8.decode(take(count));
    if (major === UNSIGNED) return count;
    if (major !== ARRAY && major !== MAP) {
      throw new RangeError(`a negative number, a tag, a float or a simple value at byte ${at}`);
    }
    if (depth === MAX_DEPTH) throw new RangeError(`more than ${MAX_DEPTH} levels`);
    if (count > bytes.byteLength) throw new RangeError(`${count} items announced at ${at}`);
    if (major === MAP) return map(count, depth);
    const elements: CborValue[] = [];
    for (let n = 0; n < count; n++) elements.push(item(depth + 1));
    return elements;
  }

  if ((bytes[0] ?? 0) >> 5 !== MAP) throw new RangeError("something else than a map");
  const fields = item(0) as { [name: string]: CborValue };
  if (at !== bytes.byteLength) {
    throw new RangeError(`${bytes.byteLength - at} bytes after the item`);
  }
  return fields;
}
