// This module runs in every runtime.
// What a decoded value must be to be believed. A few functions, as every page that reads frames
// loads them: a general library of schemas is three times the size of all that they replace.

/** Takes a value as what it should be, or throws, saying where it is not and what was found. */
export type Shape<T> = (value: unknown, path: string) => T;

/** Where a value is not what it should be, and what that is. */
export class Mismatch extends Error {
  readonly path: string;

  constructor(path: string, wanted: string, found: unknown) {
    super(`wanted ${wanted}, found ${nameOf(found)}`);
    this.path = path;
  }
}

/** What was found, in few words: it may be as long as a message. */
function nameOf(found: unknown): string {
  if (found === undefined) return "nothing";
  if (typeof found === "number" || typeof found === "boolean") return String(found);
  if (typeof found === "string") return `text of ${found.length}`;
  if (found instanceof Uint8Array) return `${found.byteLength} bytes`;
  return Array.isArray(found) ? `a list of ${found.length}` : "a map";
}

/** A value for which `check` holds; for one that throws there, it does not. */
function holding<T>(wanted: string, check: (value: unknown) => unknown): Shape<T> {
  return (value, path) => {
    let holds = false;
    try {
      holds = check(value) !== false;
    } catch {
      // Said below, in the same words for all.
    }
    if (holds) return value as T;
    throw new Mismatch(path, wanted, value);
  };
}

/** A whole number that JavaScript holds exactly. */
export const whole = (least = 0, most: number = Number.MAX_SAFE_INTEGER): Shape<number> =>
  holding(
    `a whole number from ${least} to ${most}`,
    (value) =>
      Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
  );

/** True or false, and nothing that only counts as such. */
export const flag: Shape<boolean> = holding("true or false", (value) => typeof value === "boolean");

/** A byte string of such a length. */
export const bytes = (least: number, most: number): Shape<Uint8Array> =>
  holding(
    `${least} to ${most} bytes`,
    (value) => value instanceof Uint8Array && value.byteLength >= least && value.byteLength <= most,
  );

const utf8 = new TextEncoder();

/** Text that takes no more than this in UTF-8. */
export const text = (mostBytes: number, leastBytes = 0): Shape<string> =>
  holding(`text of ${leastBytes} to ${mostBytes} bytes`, (value) => {
    if (typeof value !== "string") return false;
    // No character takes less than a byte: what is far too long is not encoded first.
    const { byteLength } =
      value.length > mostBytes ? { byteLength: value.length } : utf8.encode(value);
    return byteLength >= leastBytes && byteLength <= mostBytes;
  });

/** One of these. */
export const oneOf = <T extends string>(...values: readonly T[]): Shape<T> =>
  holding(values.join(" or "), (value) => (values as readonly unknown[]).includes(value));

/** A list of so many, each of which has this shape. */
export const list =
  <T>(element: Shape<T>, most: number, least = 0): Shape<T[]> =>
  (value, path) => {
    if (!Array.isArray(value) || value.length < least || value.length > most) {
      throw new Mismatch(path, `a list of ${least} to ${most}`, value);
    }
    return value.map((one, index) => element(one, `${path}.${index}`));
  };

/** A map with these fields; a field whose shape takes `undefined` may be missing, others are dropped. */
export const record =
  <T>(fields: { readonly [K in keyof T]-?: Shape<T[K]> }): Shape<T> =>
  (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Mismatch(path, "a map", value);
    }
    const taken: Partial<T> = {};
    for (const name in fields) {
      const found = fields[name]((value as T)[name], path === "" ? name : `${path}.${name}`);
      if (found !== undefined) taken[name] = found;
    }
    return taken as T;
  };

/** What may be missing. */
export const optional =
  <T>(shape: Shape<T>): Shape<T | undefined> =>
  (value, path) =>
    value === undefined ? undefined : shape(value, path);

/** A shape whose value must pass a check as well, which refuses by `false` or by throwing. */
export function passing<T>(
  shape: Shape<T>,
  wanted: string,
  check: (value: T) => unknown,
): Shape<T> {
  const held = holding<T>(wanted, check as (value: unknown) => unknown);
  return (value, path) => held(shape(value, path), path);
}
