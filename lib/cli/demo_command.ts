import { type Command, defineVerb, valuesOf } from "./command.ts";
import { OUTPUT_ARGS } from "./common_args.ts";
import { runDemo } from "./demo.ts";
import { createTeller } from "./demo_teller.ts";
import { closingWords, savingOf } from "./demo_words.ts";
import { createStyle } from "./style.ts";
import { withTempFolder } from "./temp_folder.ts";
import { runVerb } from "./verb.ts";

/** `headrace demo`. */
export const demoCommand: Command = defineVerb({
  name: "demo",
  description:
    "Show the whole story on real weights in well under a minute: serve, pull, kill, resume, verify",
  args: {
    keep: { type: "boolean", description: "Leave the folder with all files when done" },
    ...OUTPUT_ARGS,
  },
  run: (args, rawArgs) => {
    // That links are cut is part of the story, and no warning.
    const quiet = ["--log-level", "error", ...rawArgs];
    return runVerb(args, quiet, async ({ report, signal, settings }) => {
      const style = createStyle();
      const teller = createTeller(report, style);
      const startMs = performance.now();
      const serveArgs = ["--log-level", settings.logLevel];
      for (const assignment of valuesOf(rawArgs, "set")) serveArgs.push("--set", assignment);
      if (args.config !== undefined) serveArgs.push("--config", args.config);
      const isKept = args.keep ?? false;
      await withTempFolder("headrace-demo-", isKept, async (folder) => {
        const result = await runDemo({ folder, settings, serveArgs, teller, report, signal });
        const { weights, resumed } = result;
        report.event(
          {
            event: "done",
            verified: true,
            tensors: weights.tensors,
            bytes: weights.bytes,
            resumedBytes: resumed.resumedBytes,
            ...savingOf(result),
            elapsedMs: Math.round(performance.now() - startMs),
            ...(isKept && { folder }),
          },
          `\n${closingWords(result, style)}${isKept ? `\n\nKept in ${folder}` : ""}`,
        );
      });
    });
  },
});
