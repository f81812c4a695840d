import { sleep, systemClock } from "../clock.ts";
import { type Command, defineVerb } from "./command.ts";
import { DIAL_ARGS, OUTPUT_ARGS } from "./common_args.ts";
import { describeError, UsageError } from "./describe_error.ts";
import { readPem } from "./dial.ts";
import { fetchTrusting } from "./http_fetch.ts";
import type { Report } from "./report.ts";
import { fetchStatus, parseStatusUrl, type ShownStatus } from "./status_client.ts";
import { statusLines } from "./status_table.ts";
import { print } from "./stdout.ts";
import { readToken } from "./token.ts";
import { runVerb } from "./verb.ts";

const WATCH_INTERVAL_MS = 1000;
/** Where there is no terminal to fit into. */
const UNBOUNDED = { columns: 200, rows: Number.POSITIVE_INFINITY };

/** `headrace status`. */
export const statusCommand: Command = defineVerb({
  name: "status",
  description: "Show what nodes that serve with --status have under way, several as one",
  args: {
    url: {
      type: "positional",
      required: true,
      valueHint: "URL...",
      description: "Their status addresses: http://HOST:PORT",
    },
    watch: { type: "boolean", description: "Go on showing it, every second, until interrupted" },
    "token-file": {
      type: "string",
      valueHint: "FILE",
      description: "Read the nodes' token from this file (or set HEADRACE_TOKEN)",
    },
    ca: DIAL_ARGS.ca,
    ...OUTPUT_ARGS,
  },
  mostWords: Number.POSITIVE_INFINITY,
  run: (args, rawArgs) =>
    runVerb(args, rawArgs, async ({ report, signal, settings }) => {
      if (args._.length === 0) throw new UsageError("Name a status address: http://HOST:PORT");
      const urls = args._.map(parseStatusUrl);
      const token = await readToken(settings.tokenFile);
      const { caFile } = settings;
      const trusting = caFile === undefined ? fetch : await fetchTrusting(await readPem(caFile));
      const ask: AskStatus = (url) => fetchStatus(url, { token, signal, fetch: trusting });
      const isScreen = process.stdout.isTTY === true && !args.json;
      for (;;) {
        const { nodes, reasons, failure } = await askAll(urls, ask, report);
        signal.throwIfAborted();
        // Who looks once at one node is told by the failure itself.
        const why = args.watch || urls.length > 1 ? reasons : [];
        const { columns, rows } = process.stdout;
        const size =
          isScreen && args.watch
            ? { columns, rows: rows - why.length }
            : { ...UNBOUNDED, columns: isScreen ? columns : UNBOUNDED.columns };
        const text = [...statusLines(nodes, size), ...why].join("\n");
        if (!args.json) print(args.watch && isScreen ? atTop(text) : `${text}\n`);
        if (!args.watch) {
          if (failure) throw failure.error;
          const transfers = nodes.reduce((sum, node) => sum + node.transfers.length, 0);
          report.event({ event: "done", nodes: nodes.length, transfers });
          return;
        }
        await sleep(systemClock, WATCH_INTERVAL_MS, signal);
      }
    }),
});

type AskStatus = (url: URL) => Promise<ShownStatus>;

/** One node that does not answer hides none of the others. */
async function askAll(
  urls: readonly URL[],
  ask: AskStatus,
  report: Report,
): Promise<{
  nodes: ShownStatus[];
  reasons: string[];
  failure: { error: unknown } | undefined;
}> {
  const nodes: ShownStatus[] = [];
  const reasons: string[] = [];
  let failure: { error: unknown } | undefined;
  const answers = await Promise.allSettled(urls.map(ask));
  for (const [index, answer] of answers.entries()) {
    const url = urls[index]?.origin;
    if (answer.status === "fulfilled") {
      nodes.push(answer.value);
      report.event({ event: "status", url, ...answer.value });
    } else {
      failure ??= { error: answer.reason };
      const why = describeError(answer.reason);
      reasons.push(why.message);
      report.event({ event: "unreachable", url, ...why });
    }
  }
  return { nodes, reasons, failure };
}

/** Draws over what was there before, without a flicker. */
function atTop(text: string): string {
  const lines = text.split("\n").map((line) => `${line}\x1b[K`);
  return `\x1b[H${lines.join("\n")}\n\x1b[J`;
}
