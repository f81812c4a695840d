// What a portable file may not name, as a pure function; check_portability.ts applies it.
import { only, stretchesOf } from "./source_text.ts";

/** Runtime globals that are not on the web platform. `.process` and `process:` are properties. */
const RUNTIME_GLOBAL =
  /(?<![.\w$#])(Deno|Bun|process|Buffer|require|__dirname|__filename)\b(?!\s*\??:)/g;
const RUNTIME_MODULE = /^["'](?:node|bun|deno|cloudflare):/;

/** What in a portable source file ties it to one runtime; comments do not count. */
export function portabilityProblems(path: string, source: string): string[] {
  const problems: string[] = [];
  only(source, "code")
    .split("\n")
    .forEach((line, index) => {
      for (const [, name] of line.matchAll(RUNTIME_GLOBAL)) {
        problems.push(`${path}:${index + 1}: names ${name}, which not every runtime has`);
      }
    });
  let line = 1;
  for (const { kind, text } of stretchesOf(source)) {
    if (kind === "string" && RUNTIME_MODULE.test(text)) {
      problems.push(`${path}:${line}: names ${text}; reach it through lib/platform/`);
    }
    line += text.split("\n").length - 1;
  }
  return problems;
}
