// This module runs in every runtime.

/** Where text is no JSON, and why. */
export interface JsonFault {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  readonly wanted: string;
  /** The character there, in quotes, or `the end`. */
  readonly found: string;
}

const SCALAR =
  /(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.+-])/y;
const STRING = /"(?:[^"\\\n]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

const VALUE = "a value";
const KEY = "a key in double quotes";
const COLON = '":"';
const END = "the end";

/**
 * The first place where text breaks the grammar of JSON (RFC 8259); `undefined` where it keeps to
 * it. `JSON.parse` says that too, but not in every runtime, and in each one in other words.
 */
export function findJsonFault(text: string): JsonFault | undefined {
  /** The brackets that are open, as what closes them. */
  const closers: string[] = [];
  let wanted = VALUE;
  /** Whether the bracket just opened may close again at once. */
  let opened = false;
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match || hasControl(match[0])) return false;
    at = pattern.lastIndex;
    return true;
  };
  const afterValue = () => {
    const closer = closers.at(-1);
    return closer ? `"," or "${closer}"` : END;
  };
  for (;;) {
    while (" \t\n\r".includes(text[at] ?? "x")) at++;
    const char = text[at];
    const closer = closers.at(-1);
    if (wanted === END && char === undefined) return undefined;
    if (char !== undefined && char === closer && (opened || wanted === afterValue())) {
      at++;
      closers.pop();
      opened = false;
      wanted = afterValue();
    } else if (wanted === KEY && take(STRING)) {
      wanted = COLON;
      opened = false;
    } else if (wanted === COLON && char === ":") {
      at++;
      wanted = VALUE;
    } else if (wanted === VALUE && (char === "{" || char === "[")) {
      at++;
      closers.push(char === "{" ? "}" : "]");
      wanted = char === "{" ? KEY : VALUE;
      opened = true;
    } else if (wanted === VALUE && (take(STRING) || take(SCALAR))) {
      opened = false;
      wanted = afterValue();
    } else if (closer !== undefined && char === "," && wanted === afterValue()) {
      at++;
      wanted = closer === "}" ? KEY : VALUE;
    } else {
      return faultAt(text, at, opened ? `${wanted} or "${closer}"` : wanted);
    }
  }
}

function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) < 0x20) return true;
  return false;
}

function faultAt(text: string, at: number, wanted: string): JsonFault {
  const before = text.slice(0, at).split("\n");
  const column = (before.at(-1)?.length ?? 0) + 1;
  const char = text.codePointAt(at);
  const found = char === undefined ? END : JSON.stringify(String.fromCodePoint(char));
  return { line: before.length, column, wanted, found };
}
