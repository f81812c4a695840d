// Just enough reading of TypeScript for the checks: where code ends and comments and strings begin.

/** One stretch of a source file; all stretches together are the file. */
export interface Stretch {
  readonly kind: "code" | "comment" | "string";
  readonly text: string;
}

const STRETCHES: readonly (readonly [Stretch["kind"], RegExp])[] = [
  ["comment", /\/\/[^\n]*|\/\*[\s\S]*?\*\//y],
  ["string", /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y],
];
const PLAIN_CODE = /[^"'`/{}]+/y;
const REGULAR_EXPRESSION = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE_TEXT = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{)/y;
/** What stands before a slash that begins a regular expression and not a division. */
const BEFORE_EXPRESSION =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|=>|\b(?:return|typeof|case|of|in|void))\s*$/;

/** Splits a source text into code, comments and strings, in order and without loss. */
export function stretchesOf(source: string): Stretch[] {
  const found: Stretch[] = [];
  /** For each open template, how many braces are open in its current `${}`. */
  const templates: number[] = [];
  let code = "";
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const take = (kind: Stretch["kind"], text: string): void => {
    if (kind === "code") code += text;
    else {
      if (code !== "") found.push({ kind: "code", text: code });
      code = "";
      found.push({ kind, text });
    }
    at += text.length;
  };
  const takeTemplateText = (): void => {
    const text = match(TEMPLATE_TEXT) ?? source.slice(at);
    take("string", text);
    if (text.endsWith("${")) templates.push(0);
  };

  while (at < source.length) {
    const special = STRETCHES.map(([kind, pattern]) => [kind, match(pattern)] as const).find(
      ([, text]) => text !== undefined,
    );
    if (special?.[1] !== undefined) {
      take(special[0], special[1]);
      continue;
    }
    const character = source.charAt(at);
    const depth = templates.at(-1);
    if (character === "`") {
      take("code", character);
      takeTemplateText();
    } else if (character === "}" && depth === 0) {
      templates.pop();
      take("code", character);
      takeTemplateText();
    } else if (character === "/" && BEFORE_EXPRESSION.test(code)) {
      take("string", match(REGULAR_EXPRESSION) ?? character);
    } else {
      if (depth !== undefined && character === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && character === "}") templates[templates.length - 1] = depth - 1;
      take("code", match(PLAIN_CODE) ?? character);
    }
  }
  if (code !== "") found.push({ kind: "code", text: code });
  return found;
}

/** The source with all else than the given kinds blanked; lines keep their numbers. */
export function only(source: string, ...kinds: readonly Stretch["kind"][]): string {
  return stretchesOf(source)
    .map(({ kind, text }) => (kinds.includes(kind) ? text : text.replace(/[^\n]/g, " ")))
    .join("");
}

/** A module that a source text names, and the line on which it does. */
export interface ImportSite {
  readonly specifier: string;
  readonly line: number;
}

const SPECIFIER = /(?:\bfrom\s*|\bimport\s*\(?\s*)(["'])([^"'\n]+)\1/g;

/** Every module a source text imports, re-exports or loads, comments left aside. */
export function importsOf(source: string): ImportSite[] {
  const code = only(source, "code", "string");
  return [...code.matchAll(SPECIFIER)].map((match) => ({
    specifier: match[2] ?? "",
    line: lineAt(code, match.index),
  }));
}

/** The line, counted from 1, of an offset in a text. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
