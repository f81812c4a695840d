import { setMaxListeners } from "node:events";
import type { ResolvedSettings } from "../config/resolve_settings.ts";
import { exitCodeOf, Interrupted } from "./describe_error.ts";
import { loadSettings } from "./load_settings.ts";
import { configureLogs } from "./logs.ts";
import { createReport, type Report } from "./report.ts";
import { settingFlags } from "./setting_flags.ts";
import { outputLost } from "./stdout.ts";

/** For verbs that keep what is verified. */
export const RESUMABLE = "interrupted; the same command goes on from here";

/** What a verb works with. */
export interface VerbContext extends ResolvedSettings {
  readonly report: Report;
  /** Aborted with {@linkcode Interrupted} by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

/**
 * Runs a verb to its exit code: loads the settings, reports what fails in one line, turns the first Ctrl-C into an
 * orderly end and the second into an immediate one.
 *
 * @param interruption What a person who pressed Ctrl-C is told.
 */
export async function runVerb(
  args: { readonly json?: boolean | undefined; readonly config?: string | undefined },
  rawArgs: readonly string[],
  work: (context: VerbContext) => Promise<void>,
  interruption?: string,
): Promise<void> {
  const report = createReport(args.json ?? false);
  const interrupt = new AbortController();
  // Every transfer under way listens; a warning of many listeners would be about nothing.
  setMaxListeners(0, interrupt.signal);
  const onSignal = () => {
    if (interrupt.signal.aborted) process.exit(130);
    interrupt.abort(new Interrupted(interruption));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  const onLost = () => interrupt.abort(outputLost.reason);
  outputLost.addEventListener("abort", onLost);
  try {
    const resolved = await loadSettings(settingFlags(rawArgs), args.config);
    await configureLogs(resolved.settings.logLevel);
    await work({ ...resolved, report, signal: interrupt.signal });
  } catch (error) {
    const shown = interrupt.signal.aborted ? interrupt.signal.reason : error;
    // What became of the output has been said where it still could be.
    if (!outputLost.aborted) report.failure(shown);
    process.exitCode = exitCodeOf(shown);
  } finally {
    report.close();
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
    outputLost.removeEventListener("abort", onLost);
  }
}
