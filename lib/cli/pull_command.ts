import { type Command, defineVerb } from "./command.ts";
import { DIAL_ARGS, HTTP_ARGS, OUTPUT_ARGS } from "./common_args.ts";
import { formatBytes, formatCount, formatSeconds } from "./format.ts";
import { parsePriority } from "./priority.ts";
import { pull } from "./pull.ts";
import { openSource } from "./pull_source.ts";
import { checkpointLimits } from "./sweep_outputs.ts";
import { RESUMABLE, runVerb } from "./verb.ts";

/** `headrace pull`. */
export const pullCommand: Command = defineVerb({
  name: "pull",
  description:
    "Fetch what a URL names: a model, a file of it, or single tensors. Run again after an interruption, it goes on where it was.",
  args: {
    url: {
      type: "positional",
      required: true,
      valueHint: "URL[/MODEL[/PARTITION[/TENSOR]]]",
      description:
        "A peer or http:// server and what to fetch from it, names may hold *; or http(s)://HOST/FILE.safetensors[#TENSOR] of any web server",
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "PATH",
      description:
        "The file, or the folder for several: TENSOR.safetensors for each tensor that is named, PARTITION.TENSOR.safetensors where partitions share a name; default: the model's or file's name here",
    },
    priority: {
      type: "string",
      valueHint: "P",
      description: "low, normal (default), high, critical, or 0 to 255",
    },
    overwrite: {
      type: "boolean",
      description:
        "Replace files that differ from what the peer has, and what another pull left unfinished there",
    },
    durable: {
      type: "boolean",
      description: "Survive a power cut too, at the price of a sync a leaf",
    },
    ...OUTPUT_ARGS,
    ...DIAL_ARGS,
    ...HTTP_ARGS,
  },
  run: (args, rawArgs) =>
    runVerb(
      args,
      rawArgs,
      async ({ report, signal, settings }) => {
        const priority = parsePriority(args.priority);
        const { source, pattern } = await openSource(args.url, args, settings, "file");
        const startMs = performance.now();
        try {
          const { paths, ...summary } = await pull(source, {
            pattern,
            outputPath: args.output,
            overwrite: args.overwrite ?? false,
            durable: args.durable ?? false,
            priority,
            checkpointLimits: checkpointLimits(settings),
            report,
            signal,
          });
          const elapsedMs = Math.round(performance.now() - startMs);
          const wireBytes = source.receivedBytes;
          report.close();
          report.event(
            { event: "done", ...summary, wireBytes, elapsedMs },
            `${formatCount(summary.tensors, "tensor")}, ${formatBytes(summary.bytes)} ${summary.verified === "length" ? "of the right length, the server tells no digests," : "verified"} in ${paths.join(", ")}: ` +
              `${formatBytes(wireBytes)} received in ${formatSeconds(elapsedMs)}, ` +
              `${formatBytes(summary.resumedBytes)} were there already, ${summary.retries} retries`,
          );
        } finally {
          await source.close();
        }
      },
      RESUMABLE,
    ),
});
