// This module runs in every runtime.
import { FormatError } from "../../errors.ts";
import { quote } from "./quote.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const MAX_NUMBER_CHARS = 64;

const isSpace = (code: number) => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/**
 * Reads JSON (RFC 8259) of a known shape, front to back. Unlike `JSON.parse` it refuses a key that
 * appears twice, never rounds a number, gives `__proto__` no meaning, and builds only what its
 * caller asks for, so that hostile text costs no more memory than its own length.
 */
export class JsonCursor {
  /** The tensor or the like that is being read, for errors. The caller sets it as it goes along. */
  subject: { readonly kind: string; readonly name: string } | undefined;
  readonly #inside: string;
  readonly #text: string;
  readonly #byteOffset: number;
  #at = 0;

  /**
   * @param inside What the text is, for errors.
   * @param byteOffset Where the text begins in its file, for errors.
   */
  constructor(text: string, inside: string, byteOffset: number) {
    this.#text = text;
    this.#inside = inside;
    this.#byteOffset = byteOffset;
  }

  /** What is being read: begins every error. */
  get where(): string {
    return this.subject ? `${this.subject.kind} ${quote(this.subject.name)}` : this.#inside;
  }

  /** @throws {FormatError} always, with `where` and the place in the file. */
  fail(message: string): never {
    const before = new TextEncoder().encode(this.#text.slice(0, this.#at)).byteLength;
    const byteOffset = this.#byteOffset + before;
    throw new FormatError(`${this.where}: ${message} (at byte ${byteOffset})`, { byteOffset });
  }

  #wanted(what: string): never {
    const next = this.#text.slice(this.#at, this.#at + 20);
    return this.fail(`wanted ${what}, found ${next === "" ? "the end" : quote(next)}`);
  }

  #skipSpace(): void {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at++;
  }

  /** Whether `char` comes next; it is then behind the cursor. */
  take(char: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #expect(char: string): void {
    if (!this.take(char)) this.#wanted(`"${char}"`);
  }

  /** A string of well-formed Unicode. */
  string(): string {
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) !== QUOTE) this.#wanted("a string");
    const start = this.#at + 1;
    let end = start;
    let escaped = false;
    for (;;) {
      const code = this.#text.charCodeAt(end);
      if (code === QUOTE) break;
      // Past the end of the text the code is NaN, which fails this comparison as well.
      if (!(code >= 0x20)) {
        this.#at = Math.min(end, this.#text.length);
        this.#wanted("the rest of a string");
      }
      if (code === BACKSLASH) escaped = true;
      end += code === BACKSLASH ? 2 : 1;
    }
    const raw = this.#text.slice(start, end);
    const value = escaped ? this.#unescape(raw) : raw;
    if (!value.isWellFormed()) this.fail("a string holds half a surrogate pair");
    this.#at = end + 1;
    return value;
  }

  #unescape(raw: string): string {
    try {
      return JSON.parse(`"${raw}"`);
    } catch {
      return this.fail(`${quote(raw)} holds an escape that JSON does not have`);
    }
  }

  /** Whether a number, be it a malformed one, goes on at this place. */
  #inNumber(at: number): boolean {
    return at < this.#text.length && "+-.0123456789eE".includes(this.#text.charAt(at));
  }

  #numberToken(): string {
    this.#skipSpace();
    const start = this.#at;
    let end = start;
    while (end - start < MAX_NUMBER_CHARS && this.#inNumber(end)) end++;
    if (end === start) this.#wanted("a number");
    return this.#text.slice(start, end);
  }

  /** A whole number from 0 to 2^53 - 1, in plain digits: what a format means by a size or an offset. */
  wholeNumber(): number {
    this.#skipSpace();
    const start = this.#at;
    let end = start;
    let value = 0;
    for (; value <= Number.MAX_SAFE_INTEGER; end++) {
      const digit = this.#text.charCodeAt(end) - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    const plain = end - start === 1 || (end > start && this.#text.charCodeAt(start) !== ZERO);
    if (!plain || !Number.isSafeInteger(value) || this.#inNumber(end)) {
      const found = this.#numberToken();
      this.fail(`wanted a whole number from 0 to 2^53 - 1 in plain digits, found ${found}`);
    }
    this.#at = end;
    return value;
  }

  /** Any number, as the nearest double. */
  number(): number {
    const token = this.#numberToken();
    if (!/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(token)) {
      this.fail(`wanted a number, found ${token}`);
    }
    this.#at += token.length;
    return Number(token);
  }

  /**
   * Hands each key to `member`, which reads the value that follows.
   *
   * @param keys Holds the keys afterwards; give an empty set again and again to save allocations.
   */
  object(member: (key: string) => void, keys: Set<string> = new Set()): void {
    this.#expect("{");
    if (this.take("}")) return;
    do {
      const key = this.string();
      if (keys.has(key)) this.fail(`the key ${quote(key)} appears twice`);
      keys.add(key);
      this.#expect(":");
      member(key);
    } while (this.take(","));
    this.#expect("}");
  }

  /** Calls `item` for each value, which it reads. */
  array(item: () => void): void {
    this.#expect("[");
    if (this.take("]")) return;
    do item();
    while (this.take(","));
    this.#expect("]");
  }

  /** Passes over any value, nested at most `depth` deep. */
  skipValue(depth = 32): void {
    if (depth === 0) this.fail("wanted a value that is not nested so deeply");
    this.#skipSpace();
    const next = this.#text.charAt(this.#at);
    if (next === "{") this.object(() => this.skipValue(depth - 1));
    else if (next === "[") this.array(() => this.skipValue(depth - 1));
    else if (next === '"') this.string();
    else if (!this.#takeWord()) this.number();
  }

  #takeWord(): boolean {
    const word = ["true", "false", "null"].find((word) => this.#text.startsWith(word, this.#at));
    this.#at += word?.length ?? 0;
    return word !== undefined;
  }

  /** The value is over: only characters of `padding` may follow. */
  end(padding: string): void {
    while (this.#at < this.#text.length && padding.includes(this.#text.charAt(this.#at))) {
      this.#at++;
    }
    if (this.#at < this.#text.length) this.#wanted("nothing but padding after the last brace");
  }
}

/**
 * Decodes UTF-8 without forgiving anything.
 *
 * @throws {FormatError} for bytes that are not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array, inside: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${inside}: is not valid UTF-8`, { cause });
  }
}
