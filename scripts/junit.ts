// The one report that node:test, Deno.test and bun:test all write, reduced to what a run needs.

/** One test of a report. */
export interface TestResult {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

const CASE = /<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
const NAME = /\bname="([^"]*)"/;
const NAMED_ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

/** The tests of a JUnit XML report, in order. */
export function parseJunit(xml: string): TestResult[] {
  return [...xml.matchAll(CASE)].map(([, attributes = "", body = ""]) => ({
    name: unescapeXml(NAME.exec(attributes)?.[1] ?? ""),
    outcome: /<(?:failure|error)\b/.test(body)
      ? "failed"
      : /<skipped\b/.test(body)
        ? "skipped"
        : "passed",
  }));
}

/** The other way: a report of these. */
export function formatJunit(tests: readonly TestResult[]): string {
  const cases = tests.map(({ name, outcome }) => {
    const body = outcome === "failed" ? "<failure/>" : outcome === "skipped" ? "<skipped/>" : "";
    return `<testcase name="${escapeXml(name)}">${body}</testcase>`;
  });
  return `<testsuites>\n${cases.join("\n")}\n</testsuites>\n`;
}

const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (one) => `&#${one.codePointAt(0)};`);

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return NAMED_ENTITIES[name] ?? whole;
  });
}
