import { rmdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { getLogger } from "@logtape/logtape";
import type { SweptCheckpoint } from "../checkpoint/checkpoint_store.ts";
import { type SweepOptions, sweepCheckpoints } from "../checkpoint/sweep_checkpoints.ts";
import type { CheckpointLimits } from "../checkpoint_limits.ts";
import type { Settings } from "../config/settings.ts";
import { describeError } from "./describe_error.ts";
import { formatBytes } from "./format.ts";
import type { PlannedOutput } from "./pull_plan.ts";
import type { Report } from "./report.ts";

const SETTING_OF = { age: "checkpoint_max_age", size: "checkpoint_max_bytes" } as const;

/** The settings as a sweep takes them. */
export function checkpointLimits(settings: Settings): CheckpointLimits {
  return { maxAgeMs: settings.checkpointMaxAgeMs, maxBytes: settings.checkpointMaxBytes };
}

/**
 * Removes what other pulls left behind where these outputs are about to be put together, and tells
 * the person so. Nothing that goes wrong with it keeps the pull from going on.
 */
export async function sweepBeside(
  outputs: readonly PlannedOutput[],
  limits: CheckpointLimits,
  report: Report,
): Promise<void> {
  const except = outputs.map(({ path }) => path);
  const folders = outputs.flatMap(({ kind, path }) =>
    kind === "folder" ? [path, dirname(path)] : [dirname(path)],
  );
  for (const folder of new Set(folders)) {
    for (const swept of await trySweep("pull", folder, { ...limits, except })) {
      report.event(eventOf(swept), wordsOf(swept));
    }
  }
}

/** Removes what pushes left behind in a folder that takes them, and with it what is empty then. */
export async function sweepPushes(
  folder: string,
  limits: CheckpointLimits,
  report: Report,
): Promise<void> {
  for (const swept of await trySweep("serve", folder, limits)) {
    // As after a push that brought nothing: a folder with anything in it stays.
    if (swept.output !== resolve(folder)) await rmdir(swept.output).catch(() => {});
    report.event(eventOf(swept));
  }
}

async function trySweep(
  verb: "pull" | "serve",
  folder: string,
  options: SweepOptions,
): Promise<SweptCheckpoint[]> {
  const logger = getLogger(["headrace", verb]);
  const onError = (error: unknown) => {
    const { message } = describeError(error);
    // Others' folders may lie beside what is pulled; where pushes go, all is the server's own.
    if (verb === "pull") logger.info`Not swept: ${message}`;
    else logger.warning`Not swept: ${message}`;
  };
  try {
    const swept = await sweepCheckpoints(folder, { ...options, onError });
    for (const one of swept) logger.info`${wordsOf(one)}`;
    return swept;
  } catch (error) {
    onError(error);
    return [];
  }
}

function eventOf({ output, bytes, lastUsedMs, over }: SweptCheckpoint) {
  const lastUsed = new Date(lastUsedMs).toISOString();
  return { event: "swept", output, bytes, lastUsed, over: SETTING_OF[over] };
}

function wordsOf(swept: SweptCheckpoint): string {
  const { bytes, lastUsed, over } = eventOf(swept);
  const output = swept.output.replace(/\p{Cc}+/gu, " "); // a folder may be called anything
  return `Removed the unfinished ${output}, last written to on ${lastUsed.slice(0, 10)} (${formatBytes(bytes)}): it was over ${over}`;
}
