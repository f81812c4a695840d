import { type Command, defineVerb } from "./command.ts";
import { DIAL_ARGS, OUTPUT_ARGS } from "./common_args.ts";
import { UsageError } from "./describe_error.ts";
import { dialPeer } from "./dial.ts";
import { formatBytes, formatCount, formatSeconds } from "./format.ts";
import { parsePeerUrl } from "./peer_url.ts";
import { parsePriority } from "./priority.ts";
import { push } from "./push.ts";
import { RESUMABLE, runVerb } from "./verb.ts";

/** `headrace push`. */
export const pushCommand: Command = defineVerb({
  name: "push",
  description:
    "Send a safetensors file, or a model's folder, to a peer that serves with --accept. Run again after an interruption, it goes on where it was.",
  args: {
    path: {
      type: "positional",
      required: true,
      valueHint: "PATH",
      description: "A safetensors file, or a folder of them with its side files",
    },
    url: {
      type: "positional",
      required: true,
      valueHint: "URL[/MODEL]",
      description: "The peer, and what the model is called there; default: as PATH is",
    },
    priority: {
      type: "string",
      valueHint: "P",
      description: "low, normal (default), high, critical, or 0 to 255",
    },
    ...OUTPUT_ARGS,
    ...DIAL_ARGS,
  },
  run: (args, rawArgs) =>
    runVerb(
      args,
      rawArgs,
      async ({ report, signal, settings }) => {
        const { url, model } = parseTarget(args.url);
        const priority = parsePriority(args.priority);
        const peer = await dialPeer(url, settings);
        const startMs = performance.now();
        try {
          const { path } = args;
          const summary = await push(peer, { path, model, priority, report, signal });
          const elapsedMs = Math.round(performance.now() - startMs);
          const wireBytes = peer.sentBytes;
          report.close();
          report.event(
            { event: "done", ...summary, wireBytes, elapsedMs },
            `${formatCount(summary.tensors, "tensor")}, ${formatBytes(summary.bytes)} verified as ${summary.model} at ${url}: ` +
              `${formatBytes(wireBytes)} sent in ${formatSeconds(elapsedMs)}, ` +
              `${formatBytes(summary.resumedBytes)} were there already, ${summary.retries} retries`,
          );
        } finally {
          await peer.close();
        }
      },
      RESUMABLE,
    ),
});

/** Reads `tcp://HOST:PORT[/MODEL]`. */
function parseTarget(text: string): { readonly url: string; readonly model: string | undefined } {
  const { url, pattern } = parsePeerUrl(text);
  const { model, partition, tensor } = pattern;
  if (partition !== "*" || tensor !== "*") {
    throw new UsageError(`"${text}" names more than a model; a push sends whole models`);
  }
  if (model === "*") return { url, model: undefined };
  if (model.includes("*")) {
    throw new UsageError(`"${text}" names no one model: a * cannot stand in its name`);
  }
  return { url, model: decodeURIComponent(model) };
}
