// CBOR as SPEC.md has it, by hand, so that it can be written wrong as well.

/** Bytes that stand where a value would. */
export class Raw {
  readonly bytes: Uint8Array;

  constructor(...bytes: readonly number[]) {
    this.bytes = Uint8Array.from(bytes);
  }
}

/** What a control message may hold; `undefined` fields are left out. */
export type Value =
  | number
  | bigint
  | string
  | boolean
  | Uint8Array
  | Raw
  | readonly Value[]
  | Fields
  | undefined;

/** The fields of a control message. */
export interface Fields {
  readonly [name: string]: Value;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An item's first bytes: its kind and its count, in the shortest form. */
export function cborHead(major: number, count: number | bigint): Uint8Array {
  const value = BigInt(count);
  const kind = major << 5;
  if (value < 24n) return Uint8Array.of(kind | Number(value));
  const width = [1, 2, 4, 8].find((bytes) => value < 1n << BigInt(8 * bytes)) ?? 8;
  const head = new Uint8Array(1 + width);
  head[0] = kind | (24 + Math.log2(width));
  for (let n = 0; n < width; n++) head[width - n] = Number((value >> BigInt(8 * n)) & 0xffn);
  return head;
}

/** A value's bytes. */
export function cbor(value: Value): Uint8Array {
  if (value instanceof Raw) return value.bytes;
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (typeof value === "number" || typeof value === "bigint") return cborHead(0, value);
  if (value instanceof Uint8Array) return join(cborHead(2, value.byteLength), value);
  if (typeof value === "string") {
    const text = encoder.encode(value);
    return join(cborHead(3, text.byteLength), text);
  }
  if (Array.isArray(value)) return join(cborHead(4, value.length), ...value.map(cbor));
  const fields = Object.entries(value ?? {}).filter(([, field]) => field !== undefined);
  return join(
    cborHead(5, fields.length),
    ...fields.flatMap(([name, field]) => [cbor(name), cbor(field)]),
  );
}

/** The value of well-formed bytes. */
export function uncbor(bytes: Uint8Array): Value {
  let at = 0;
  const item = (): Value => {
    const initial = bytes[at++] ?? 0;
    const [major, info] = [initial >> 5, initial & 31];
    if (major === 7) return info === 21;
    let count = info;
    if (info >= 24) {
      count = 0;
      for (let n = 2 ** (info - 24); n > 0; n--) count = count * 256 + (bytes[at++] ?? 0);
    }
    if (major === 0) return count;
    if (major === 2 || major === 3) {
      at += count;
      const part = bytes.slice(at - count, at);
      return major === 2 ? part : decoder.decode(part);
    }
    if (major === 4) return Array.from({ length: count }, item);
    return Object.fromEntries(Array.from({ length: count }, () => [item(), item()]));
  };
  return item();
}

/** The parts, one after another. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
