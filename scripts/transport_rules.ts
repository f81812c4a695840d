// Which transport works in which runtime, as pure functions: what tests say, and why a cell cannot be.
import type { TestResult } from "./junit.ts";

/** What the tests of one runtime came to. */
export interface RuntimeResults {
  readonly runtime: string;
  readonly tests: readonly TestResult[];
}

/** The table's columns, as they are headed. */
export const TABLE_RUNTIMES: readonly (readonly [runtime: string, heading: string])[] = [
  ["node20", "Node 20"],
  ["node26", "Node 26"],
  ["deno", "Deno"],
  ["bun", "Bun"],
  ["workerd", "workerd"],
  ["chromium", "Chromium"],
];

/** What a cell says: the tests whose names begin so, or why there can be none. */
interface Cell {
  readonly tests?: string;
  readonly says?: string;
  readonly why?: string;
}

/** One transport: what holds in every runtime that has no cell of its own, and those that have. */
interface Row {
  readonly name: string;
  readonly all: Cell;
  readonly cells?: Readonly<Record<string, Cell>>;
}

const NO_SOCKETS = "a page has no sockets";
const NO_QUIC = "the runtime has no WebTransport; a session of the W3C's shape can be brought";

/** The rows. A prefix of tests stands for all that a transport must honour there. */
export const TABLE_ROWS: readonly Row[] = [
  {
    name: "TCP",
    all: { tests: "tcp: ", says: "dial, listen" },
    cells: {
      workerd: { tests: "cloudflare tcp: ", says: "dial" },
      chromium: { why: NO_SOCKETS },
    },
  },
  {
    name: "TLS",
    all: { tests: "tls: ", says: "dial, listen" },
    cells: {
      workerd: { tests: "cloudflare tcp: a given connect is asked for TLS", says: "dial" },
      chromium: { why: NO_SOCKETS },
    },
  },
  {
    name: "WebSocket",
    all: { tests: "websocket: ", says: "dial, listen" },
    cells: {
      workerd: { tests: "cloudflare websocket: ", says: "dial, accept" },
      chromium: { tests: "browser websocket: ", says: "dial" },
    },
  },
  {
    name: "WebTransport",
    all: { why: NO_QUIC },
    cells: {
      deno: { tests: "webtransport: ", says: "dial, listen" },
      chromium: { tests: "browser webtransport: ", says: "dial" },
    },
  },
  {
    name: "HTTP ranges",
    all: { tests: "http client: ", says: "fetch, serve" },
    cells: { chromium: { tests: "http client: ", says: "fetch" } },
  },
];

/** A cell by what the tests say of it. */
function cellText(cell: Cell, tests: readonly TestResult[], note: (why: string) => number): string {
  const { tests: prefix, says = "yes", why } = cell;
  if (why !== undefined) return `no [^${note(why)}]`;
  const own = tests.filter(({ name }) => prefix !== undefined && name.startsWith(prefix));
  if (own.some(({ outcome }) => outcome === "failed")) return "fails";
  return own.some(({ outcome }) => outcome === "passed") ? says : "not tested";
}

/** The table in Markdown, with the reasons below it. */
export function transportTable(results: readonly RuntimeResults[]): string {
  const whys: string[] = [];
  const note = (why: string): number => {
    if (!whys.includes(why)) whys.push(why);
    return whys.indexOf(why) + 1;
  };
  const rows = TABLE_ROWS.map(({ name, all, cells = {} }) => {
    const texts = TABLE_RUNTIMES.map(([runtime]) => {
      const tests = results.find((one) => one.runtime === runtime)?.tests ?? [];
      return cellText(cells[runtime] ?? all, tests, note);
    });
    return `| ${name} | ${texts.join(" | ")} |`;
  });
  const headings = TABLE_RUNTIMES.map(([, heading]) => heading);
  const notes = whys.map((why, index) => `[^${index + 1}]: ${why}`);
  return [
    `| | ${headings.join(" | ")} |`,
    `|---|${headings.map(() => "---").join("|")}|`,
    ...rows,
    "",
    ...notes,
  ].join("\n");
}
