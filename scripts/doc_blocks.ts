// The ```ts blocks of guides and docstrings, as pure functions; check_docs.ts runs them.

/** A block of example code. */
export interface DocBlock {
  /** The line of the file on which the code begins, counted from 1. */
  readonly line: number;
  readonly code: string;
  /** Why it does not run: what follows `ignore` on the opening fence. */
  readonly ignored: string | undefined;
}

const FENCE = /^(\s*)```ts(?:[ \t]+ignore\b[ \t:]*(.*?))?[ \t]*$/;
const PLAIN_FENCE = /^\s*```ts[ \t]*$/;

/** The ```ts blocks of a Markdown text. */
export function blocksOf(markdown: string): DocBlock[] {
  const blocks: DocBlock[] = [];
  const lines = markdown.split("\n");
  for (let at = 0; at < lines.length; at += 1) {
    const opening = lines[at] ?? "";
    const match = FENCE.exec(opening);
    if (match === null) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === "```");
    const body = lines.slice(at + 1, end < 0 ? undefined : end);
    const ignored = PLAIN_FENCE.test(opening) ? undefined : (match[2] ?? "").trim();
    blocks.push({ line: at + 2, code: body.join("\n"), ignored });
    if (end < 0) break;
    at = end;
  }
  return blocks;
}

/** What all fenced blocks of a Markdown text hold that begin at the start of a line, whatever language. */
export function fencesOf(markdown: string): string[] {
  return [...markdown.matchAll(/^```.*\n([\s\S]*?)\n```$/gm)].map(([, text = ""]) => text);
}

/** The docstrings of a source text as Markdown; every other line is blank, so numbers stay. */
export function docstringsOf(source: string): string {
  let inside = false;
  return source
    .split("\n")
    .map((line) => {
      if (/^\s*\/\*\*/.test(line)) inside = true;
      const text = inside
        ? line.replace(/^\s*(?:\/\*\*|\*\/|\*) ?/, "").replace(/\*\/\s*$/, "")
        : "";
      if (line.includes("*/")) inside = false;
      return text;
    })
    .join("\n");
}
