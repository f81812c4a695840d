import { Presets, SingleBar } from "cli-progress";
import { formatBytes, formatSeconds } from "./format.ts";
import type { WorkProgress } from "./work_progress.ts";

/** A progress bar on the terminal's error stream. */
export interface Bar {
  show(progress: WorkProgress): void;
  /** Makes room for a line of text; the next `show` draws the bar again. */
  clear(): void;
  stop(): void;
}

/** Makes a bar that appears with the first progress. */
export function createBar(): Bar {
  const options = {
    format: "{bar} {percentage} % | {moved} of {all} | {rate}/s | {left} | {what}",
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    fps: 10,
    barsize: 24,
    gracefulExit: false,
  };
  let bar: SingleBar | undefined;
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    show(progress) {
      const payload = {
        moved: formatBytes(progress.bytes),
        all: formatBytes(progress.totalBytes),
        rate: formatBytes(progress.bytesPerSecond),
        left: progress.etaMs === undefined ? "--" : `${formatSeconds(progress.etaMs)} left`,
        what: progress.what,
      };
      if (!bar) {
        bar = new SingleBar(options, Presets.shades_classic);
        bar.start(progress.totalBytes, progress.bytes, payload);
        return;
      }
      bar.setTotal(progress.totalBytes);
      bar.update(progress.bytes, payload);
    },
    clear: stop,
    stop,
  };
}
